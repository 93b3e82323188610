"""What all commands share: words to values, exit status and signals, and the options that several of them take."""
