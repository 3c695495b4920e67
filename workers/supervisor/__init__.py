"""Parents without torch of the processes that compute: the jail's zygote, and the runtimes that train."""
