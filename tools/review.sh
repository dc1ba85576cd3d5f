# What a change does to the pipelines of a repository: findings as a report, edges and seconds as a summary. Runs in the
# action and in the component, in a checkout that has the base.
#
# FILES (by spaces; default: those that differ from BASE), BASE (a revision), MAX_SLOWER (as 60s or 10%), SINCE (ask for
# recorded runs so far back), SARIF or CODE_QUALITY (files to write), SUMMARY (a file to add to; default:
# GITHUB_STEP_SUMMARY, else stagebook.md). Exit 1: an error was found, or a chain got slower than it may.
set -u
summary=${SUMMARY:-${GITHUB_STEP_SUMMARY:-stagebook.md}}
base=${BASE:-HEAD~1}
if ! git rev-parse --quiet --verify "$base^{commit}" > /dev/null; then
    git fetch --quiet --depth=1 origin "$base" || { echo "$base is no revision here, and cannot be fetched" >&2; exit 2; }
fi
if [ -n "${FILES:-}" ]; then
    read -r -a files <<< "$FILES"
else
    files=()
    while IFS= read -r -d '' file; do
        files+=("$file")
    done < <(git diff -z --name-only --diff-filter=AMR "$base" -- stagebook.yaml .gitlab-ci.yml ':(glob).github/workflows/*.yml' ':(glob).github/workflows/*.yaml')
fi
if [ "${#files[@]}" -eq 0 ]; then
    echo "no pipeline file differs from $base"
    exit 0
fi
code=0
worse() { if [ "$1" -gt "$code" ]; then code=$1; fi; }

stagebook lint "${files[@]}" || worse $?
if [ -n "${SARIF:-}" ]; then stagebook lint --sarif -o "$SARIF" "${files[@]}" || true; fi
if [ -n "${CODE_QUALITY:-}" ]; then stagebook lint --format codequality -o "$CODE_QUALITY" "${files[@]}" || true; fi
if [ -n "${SINCE:-}" ] && [ -n "${GITHUB_REPOSITORY:-}" ]; then
    stagebook import runs github --repo "$GITHUB_REPOSITORY" --since "$SINCE" --quiet || echo "no recorded runs were had" >&2
fi
for file in "${files[@]}"; do
    stagebook map "$file" --diff "$base" || worse $?
    limit=()
    if [ -n "${MAX_SLOWER:-}" ]; then limit=(--max-slower "$MAX_SLOWER"); fi
    section=$(mktemp)
    stagebook plan "$file" --diff "$base" --format markdown -o "$section" ${limit[@]+"${limit[@]}"} || worse $?
    cat "$section" >> "$summary"
    cat "$section"
    rm -f "$section"
done
exit "$code"
