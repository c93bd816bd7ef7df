#!/usr/bin/env bash
# The whole thing in front of your eyes: a private MongoDB with a NextCRM sample, a private PostgreSQL, one move.
#
#   scripts/demo.sh        (make demo)            KEEP=1 leaves both servers running
#   scripts/demo.sh stop   (make demo-stop)       ends servers that were left running
set -euo pipefail
cd "$(dirname "$0")/.."
top=$PWD
folder=$top/build/demo
docs=${DEMO_DOCS:-20000}

python() { PYTHONPATH=$top/tests "$top/build/venv/bin/python" "$@"; }
servers() { python -m lib.servers "$@"; }

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

title "2. A NextCRM sample made by docrow itself; 1 document in 100 gets a fault on purpose"
cd "$folder"
export PATH="$top/build:$PATH"
show docrow synth --mapping nextcrm --docs "$docs" --dirt 1% --dirt-list faults.tsv --to "$MONGODB_URI"

title "3. The move"
unset MONGODB_URI DATABASE_URL # docrow finds both in .env here
status=0
show docrow migrate --mapping nextcrm || status=$?
[ "$status" -le 1 ] || exit "$status"
echo "(exit status $status: $([ "$status" = 0 ] && echo clean || echo done, and there are rejects to look at))"

title "4. Where it stands"
show docrow status

title "5. Is everything there? Counted by pymongo on one side, by SQL on the other"
python "$top/scripts/demo_check.py" "$folder"

title "6. Look at it with SQL"
query 'SELECT name, billing_city, "createdAt" FROM "crm_Accounts" ORDER BY id LIMIT 5'
echo "An id is the ObjectId that it was, in the same order:"
query 'SELECT id, docrow.uuid_to_objectid(id) AS objectid FROM "Users" ORDER BY id LIMIT 3'
echo "A join through a many-to-many that MongoDB kept as two arrays of ids:"
query 'SELECT a.name AS account, count(*) AS watchers, min(u.email) AS one_of_them
	FROM "AccountWatchers" w JOIN "crm_Accounts" a ON a.id = w.account_id JOIN "Users" u ON u.id = w.user_id
	GROUP BY a.id, a.name ORDER BY 2 DESC, 1 LIMIT 5'
echo "A full-text search, for which the mapping has an index:"
query "SELECT name, website FROM \"crm_Accounts\" WHERE to_tsvector('simple', coalesce(name, '')) @@ to_tsquery('simple', 'logistik & gmbh')
	ORDER BY id LIMIT 3"

title "7. What could not be moved as it was, and why: nothing of it is lost"
query 'SELECT collection, fault, count(*) FROM docrow.reject GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2 LIMIT 10'
query 'SELECT collection, doc_id_text, path, message FROM docrow.reject ORDER BY id LIMIT 5'
echo "Values that were set to NULL, moved or left out, one by one, and the whole account:"
query 'SELECT kind, table_name, column_name, count(*) FROM docrow.finding GROUP BY 1, 2, 3 ORDER BY 4 DESC, 1, 2, 3 LIMIT 8'
query "SELECT kind, object, sum(n) FROM docrow.ledger WHERE object IN ('crm_Accounts', 'AccountWatchers')
	GROUP BY 1, 2 ORDER BY 2, 1"

title "8. The proof: every field of every document against every row, by code that shares nothing with the move"
show docrow validate --full --findings 2

title "9. Next"
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
