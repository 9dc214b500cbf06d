"""From a folder of source to a registry: load it as a private package, check everything, say what changed."""
