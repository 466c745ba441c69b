#!/usr/bin/env bash
# The walkthrough of the seeds by curl: deploy water-bodies, execute, poll, read logs and results, dismiss. Each answer is
# compared with what the seeds show (harness/seeds.py), times and ids aside.
#   tests/ogc/seeds.sh BASE     BASE: http://127.0.0.1:8080/acme/ogc-api
# WEIR_DATA_URL is where the server finds tests/data; PYTHON (python3) needs PyYAML and jsonschema.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
base=${1:?usage: tests/ogc/seeds.sh BASE}
data=${WEIR_DATA_URL:?says where the server finds tests/data}
process_id=water-bodies
answers=$(mktemp -d)
trap 'rm -rf "$answers"' EXIT

# answer NAME CURL-ARGUMENTS…: status, headers and body of the answer, checked as NAME, the body to standard output.
answer() {
  local name=$1
  shift
  curl --silent --show-error --max-time 60 --dump-header "$answers/$name.headers" --output "$answers/$name.body" "$@"
  "${PYTHON:-python3}" "$here/harness/seeds.py" "$name" "$answers" "$base" "${job_id:-}" || touch "$answers/wrong"
}

echo "== deploy"
curl --silent --output /dev/null -X 'DELETE' "$base/processes/$process_id"
answer deploy -X 'POST' "$base/processes?w=water-bodies" -H 'accept: application/json' \
  -H 'Content-Type: application/cwl+yaml' --data-binary "@$here/../../manifests/water-bodies/water-bodies.cwl"
answer process -X 'GET' "$base/processes/$process_id" -H 'accept: application/json'

echo "== execute"
answer execute -X 'POST' \
  "$base/processes/water-bodies/execution" \
  -H 'accept: application/json' \
  -H 'Prefer: respond-async;return=representation' \
  -H 'Content-Type: application/json' \
  -d '{
  "inputs": {
      "stac_items": [
      "'"$data"'/olinda/L7_OLINDA_NORTH/L7_OLINDA_NORTH.json",
      "'"$data"'/olinda/L7_OLINDA_SOUTH/L7_OLINDA_SOUTH.json"
      ],
      "aoi": "-34.905,-8.03,-34.83,-7.96",
      "epsg": "EPSG:4326",
      "bands": [
      "green",
      "nir"
      ]
  }
  }'
job_id=$(jq --raw-output .jobID "$answers/execute.body")

echo "== monitor"
for _ in $(seq 600); do
  curl --silent --show-error --output "$answers/poll.body" -X 'GET' "$base/jobs/$job_id" -H 'accept: application/json'
  case $(jq --raw-output .status "$answers/poll.body") in
    accepted | running)
      answer running -X 'GET' "$base/jobs/$job_id" -H 'accept: application/json' ;;
    *) break ;;
  esac
  sleep 0.2
done
answer successful -X 'GET' "$base/jobs/$job_id" -H 'accept: application/json'

echo "== logs"
jq --raw-output '.links[] | select(.rel == "related") | .href' "$answers/successful.body" | while read -r log; do
  answer log -X 'GET' "$log"
done

echo "== results"
answer results -X 'GET' "$base/jobs/$job_id/results" -H 'accept: application/json'

echo "== dismiss"
answer dismiss -X 'DELETE' "$base/jobs/$job_id" -H 'accept: application/json'
# Other replicas of a cluster know it a moment later.
misses=0
for _ in $(seq 50); do
  curl --silent --output /dev/null --fail -X 'GET' "$base/jobs/$job_id" && misses=0 || misses=$((misses + 1))
  [ $misses -lt 10 ] || break
  sleep 0.1
done
answer gone -X 'GET' "$base/jobs/$job_id" -H 'accept: application/json'
[ ! -e "$answers/wrong" ]
echo "== as in the seeds"
