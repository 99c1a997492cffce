#!/usr/bin/env bash
# Applies each mutation of loom-tests/mutations to a scratch copy of the tree and runs the model that must turn red.
#
#   loom-tests/mutations.sh [NAME...]      all of them, or those whose name begins so
#
# A mutation is a patch whose first lines say `model:` and `what:`. Exits with 1 if one does not apply or compile, or stays green.
set -Eeuo pipefail
cd "$(dirname "$0")/.."

scratch=$PWD/target/mutations
mkdir -p "$scratch/tree"
export CARGO_TERM_COLOR=never RUST_BACKTRACE=0 RUSTFLAGS="--cfg tvar_loom --cap-lints allow"
export CARGO_PROFILE_RELEASE_DEBUG=false CARGO_INCREMENTAL=1 LOOM_MAX_BRANCHES="${LOOM_MAX_BRANCHES:-10000}"
export CARGO_TARGET_DIR=$scratch/target
limit=${LIMIT:-300}

fresh_tree() {
    rm -rf "$scratch/tree"
    mkdir -p "$scratch/tree"
    cp -pr Cargo.toml Cargo.lock src loom-tests benches examples tests docs README.md "$scratch/tree"
}
model() { (cd "$scratch/tree" && timeout "$limit" cargo test --release -p tvar-loom-tests --test "$@"); }

failed=0
row() { printf '%-34s %-16s %s\n' "$1" "$2" "$3"; }
row MUTATION MODEL RESULT
for patch in loom-tests/mutations/*.patch; do
    name=$(basename "$patch" .patch)
    if [ $# -gt 0 ]; then
        chosen=
        for wanted in "$@"; do [[ $name == "$wanted"* ]] && chosen=1; done
        [ -n "$chosen" ] || continue
    fi
    target=$(sed -n 's/^model: //p' "$patch")
    fresh_tree
    if ! patch -d "$scratch/tree" -p1 --quiet --forward --no-backup-if-mismatch <"$patch" >"$scratch/$name.log" 2>&1; then
        row "$name" "$target" "DOES NOT APPLY"
        failed=1
    elif ! (cd "$scratch/tree" && cargo test --release -p tvar-loom-tests --test "$target" --no-run) >"$scratch/$name.log" 2>&1; then
        row "$name" "$target" "DOES NOT COMPILE"
        failed=1
    else
        status=0
        model "$target" -- --nocapture --test-threads=1 >"$scratch/$name.log" 2>&1 || status=$?
        case $status in
            0) row "$name" "$target" "GREEN: nothing noticed it"; failed=1 ;;
            124) row "$name" "$target" "TIMEOUT after $limit s, neither red nor green"; failed=1 ;;
            *) row "$name" "$target" "red" ;;
        esac
    fi
done
exit "$failed"
