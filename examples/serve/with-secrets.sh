# Files of secrets into the variables that libraries read; then promolift.
set -eu
export PROMOLIFT_LEDGER="postgresql+psycopg://promolift:$(cat /run/secrets/database)@database/promolift"
export AWS_ACCESS_KEY_ID="$(cat /run/secrets/storage-user)" AWS_SECRET_ACCESS_KEY="$(cat /run/secrets/storage)"
exec promolift "$@"
