"""What agents download: files by their digest on the gateway's disk, and the catalogue of what they are."""
