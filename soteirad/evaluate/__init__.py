"""`soteirad eval`: accuracy of models on COCO data, and how far two ways of running a model lie apart."""
