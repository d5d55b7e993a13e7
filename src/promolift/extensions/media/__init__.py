"""Product pictures, product texts and recorded speech."""

from promolift.foundation.extension import Extension

EXTENSION = Extension("media", commands=("promolift.extensions.media.commands:add_commands",))
