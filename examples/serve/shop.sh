#!/bin/sh
# The same with curl. Usage: PROMOLIFT_KEY=... sh examples/serve/shop.sh http://127.0.0.1:8080 customer-7 product-1
set -eu
call() { curl --silent --show-error --fail-with-body -H "authorization: Bearer $PROMOLIFT_KEY" -H "content-type: application/json" "$@"; echo; }
field() { sed -n "s/.*\"$1\":\"\{0,1\}\([^\",}]*\).*/\1/p"; }  # of an answer, where jq is not at hand

# what the customer does
call "$1/v1/track" -d "{\"userId\": \"$2\", \"event\": \"Product Viewed\", \"properties\": {\"product_id\": \"$3\"}}"
# which offer now, and why
call "$1/v1/decisions" -d "{\"customer_id\": \"$2\", \"explain\": true}"
# what a cart costs with it, its money held
cart=$(call "$1/v1/carts:price" -d "{\"customer_id\": \"$2\", \"hold\": true,
  \"lines\": [{\"line_id\": \"1\", \"product_id\": \"$3\", \"quantity\": 2, \"price_cents\": 500}]}")
echo "$cart"
held=$(echo "$cart" | field redemption_id)
case "$held" in rdm_*)
  # the order is paid; then one of the two comes back, with its half of what was taken off
  call "$1/v1/redemptions:confirm" -d "{\"redemption_id\": \"$held\"}"
  call "$1/v1/redemptions:rollback" -d "{\"redemption_id\": \"$held\", \"amount_cents\": $(($(echo "$cart" | field discount_cents) / 2))}"
esac
