# sqlcipher3 is CPython's sqlite3 module compiled against SQLCipher: the same names, the same signatures.
from sqlite3.dbapi2 import *
