"""Controls of the program: painted from tokens, named for screen readers, translated live."""
