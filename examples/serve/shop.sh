#!/bin/sh
# The same with curl. Usage: PROMOLIFT_KEY=... sh examples/serve/shop.sh http://127.0.0.1:8080 customer-7
set -eu
call() { curl --silent --show-error --fail-with-body -H "authorization: Bearer $PROMOLIFT_KEY" -H "content-type: application/json" "$@"; }

# what the customer does
call "$1/v1/track" -d "{\"userId\": \"$2\", \"event\": \"Product Viewed\", \"properties\": {\"product_id\": \"p1\"}}"
echo
# which offer now, and why
call "$1/v1/decisions" -d "{\"customer_id\": \"$2\", \"explain\": true}"
echo
# what a cart costs with it
call "$1/v1/carts:price" -d "{\"customer_id\": \"$2\", \"lines\": [{\"line_id\": \"1\", \"product_id\": \"p1\", \"price_cents\": 500}]}"
echo
