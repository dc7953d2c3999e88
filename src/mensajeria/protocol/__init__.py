"""The shared language of clients and servers: types, limits, errors, frames and pure rules. No I/O."""
