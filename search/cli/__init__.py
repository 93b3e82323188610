"""What all commands share: values of words, exit status and signals, and the options that several of them take."""
