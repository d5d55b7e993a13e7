"""`promolift init` and `promolift doctor`: propose the settings file and check the installation."""
