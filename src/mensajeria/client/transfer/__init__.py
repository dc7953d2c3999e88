"""Files on this machine: pictures made ready, copies encrypted before they leave, ciphertexts opened and saved."""
