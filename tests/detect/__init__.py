"""Tests of `soteirad.detect`: packages, since some of the names (test_truth, test_coreml) are also used elsewhere."""
