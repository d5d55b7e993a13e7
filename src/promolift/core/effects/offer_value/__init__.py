"""Expected gain of an offer, estimated from logs: discount response, redemption and campaign exposure."""
