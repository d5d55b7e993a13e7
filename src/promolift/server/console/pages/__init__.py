"""What every page of the console shares: context, rendering and blocks."""
