"""`soteirad install` and `uninstall`: a plan made from facts of the machine, shown, and then done."""
