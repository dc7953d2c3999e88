"""One module for each command; each has `run(args, console) -> exit status` and is loaded only when it runs."""
