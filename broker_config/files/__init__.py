"""Files and folders of this machine: where they are, who may read them, whether they are there."""
