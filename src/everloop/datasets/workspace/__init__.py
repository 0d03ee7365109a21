"""The working copy: a folder of files beside git or Mercurial, whose versions the store keeps."""
