"""What every part uses: faults, words, where an installation lies, what a trial is."""
