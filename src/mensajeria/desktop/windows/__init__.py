"""The windows: sign-in, recovery code, main window and its dialogs. They know view models, never the client."""
