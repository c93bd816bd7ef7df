#!/usr/bin/env bash
# The whole thing in front of your eyes: a private MongoDB with a NextCRM sample, a private PostgreSQL, one move.
#
#   scripts/demo.sh        (make demo)            KEEP=1 leaves both servers running
#   scripts/demo.sh stop   (make demo-stop)       ends servers that were left running
set -euo pipefail
cd "$(dirname "$0")/.."
folder=$PWD/build/demo
docs=${DEMO_DOCS:-5000}
python=$PWD/build/venv/bin/python

servers() { PYTHONPATH=$PWD/tests "$python" -m lib.servers "$@"; }

title() { printf '\n\033[1m== %s\033[0m\n' "$*"; }
show() {
	printf '$ %s\n' "$*"
	"$@"
}
query() {
	printf 'nextcrm=> %s\n' "$1"
	psql -X -q -c "$1"
}

if [ "${1:-}" = stop ]; then
	servers stop "$folder"
	echo "The demo's servers are stopped and their data is gone."
	exit 0
fi

servers stop "$folder"
mkdir -p "$folder"
finish() {
	local status=$?
	if [ "$status" != 0 ] || [ -z "${KEEP:-}" ]; then
		servers stop "$folder" || true
	fi
	exit "$status"
}
trap finish EXIT
trap 'exit 130' INT TERM

title "1. A private MongoDB and a private PostgreSQL"
servers start "$folder" >"$folder/environment"
# shellcheck disable=SC1091 # written by the line above
. "$folder/environment"
printf 'MongoDB     %s\nPostgreSQL  127.0.0.1:%s, database nextcrm\n' "$MONGODB_URI" "$PGPORT"

title "2. A NextCRM sample, 1 document in 50 of it spoilt on purpose"
PYTHONPATH=tests "$python" -m lib.nextcrm_sample "$MONGODB_URI" --docs "$docs" --dirt 0.02 --faults "$folder/faults.jsonl"

title "3. The move"
cd "$folder"
export PATH="$OLDPWD/build:$PATH"
unset MONGODB_URI DATABASE_URL # docrow finds both in .env here
status=0
show docrow migrate --mapping nextcrm || status=$?
[ "$status" -le 1 ] || exit "$status"
echo "(exit status $status: $([ "$status" = 0 ] && echo clean || echo done, and there are rejects to look at))"

title "4. Where it stands"
show docrow status

title "5. Is everything there? Counted by pymongo on one side, by SQL on the other"
PYTHONPATH=$OLDPWD/tests "$python" "$OLDPWD/scripts/demo_check.py" "$folder"

title "6. Look at it with SQL"
query 'SELECT name, billing_city, "createdAt" FROM "crm_Accounts" ORDER BY id LIMIT 5'
query 'SELECT id, docrow.uuid_to_objectid(id) AS objectid FROM "Users" ORDER BY id LIMIT 3'
query 'SELECT u.name AS owner, count(*) AS boards FROM "Boards" b JOIN "Users" u ON u.id = b."user" GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 5'

title "7. What could not be moved, and why: nothing of it is lost"
query 'SELECT collection, fault, count(*) FROM docrow.reject GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2 LIMIT 10'
query 'SELECT collection, doc_id_text, path, message FROM docrow.reject ORDER BY id LIMIT 5'

title "8. Next"
if [ -n "${KEEP:-}" ]; then
	cat <<-END
	Both servers are running. To look around:
	    . build/demo/environment && psql
	    cd build/demo && ../docrow status
	To end them and remove their data:
	    make demo-stop
	END
else
	echo "Both servers are stopped again. make demo KEEP=1 leaves them running for you to look around."
fi
