"""What concerns one user as a whole: merged, exported, erased."""
