# What the modes of `run` say, `MODE TAB LINE`, a file at a time: so the lines of two that run at once do not mix. Then a line of progress, and
# at the end what failed, the sums and the exit status. `modes` and `files` are what was asked for.

function count(mode, kind) { n[mode, kind]++; n["", kind]++; now[mode, kind]++ }
function sum(mode) {
  return sprintf("%d passed, %d failed%s", n[mode, "ok"], n[mode, "failed"], n[mode, "skipped"] ? ", " n[mode, "skipped"] " skipped" : "")
}
function show(mode) { printf "%s", said[mode]; said[mode] = "" }

{ mode = $1; line = substr($0, length(mode) + 2) }

line ~ /^# end / { # NAME SECONDS
  show(mode)
  split(line, word, " ")
  printf "# %s %d/%d %s: %d passed, %d failed, %d skipped in %d s\n", mode, ++done[mode], files, word[3],
    now[mode, "ok"], now[mode, "failed"], now[mode, "skipped"], word[4]
  fflush()
  now[mode, "ok"] = now[mode, "failed"] = now[mode, "skipped"] = 0
  next
}
{ said[mode] = said[mode] line "\n" }
line ~ /^#   / && current[mode] { why[current[mode]] = why[current[mode]] line "\n"; next }
{ current[mode] = 0 }
line ~ /^ok - .* # skip / { count(mode, "skipped"); next }
line ~ /^ok - / { count(mode, "ok"); next }
line ~ /^not ok - / {
  count(mode, "failed")
  name = line
  sub(/^not ok - /, "", name); sub(/ \([0-9]+ ms\)$/, "", name)
  failures[++failed] = name
  current[mode] = failed
  if (name ~ /^[a-z]+\/machine: /) show(mode)
}

END {
  m = split(modes, asked, " ")
  for (i = 1; i <= m; i++) show(asked[i])
  if (failed) print "\n# What failed, and how to run it alone:"
  for (i = 1; i <= failed; i++) {
    split(failures[i], at, /\/|: /) # MODE/FILE: CASE
    print "not ok - " failures[i]
    printf "%s", why[i]
    if (at[2] != "machine") printf "    integration/run -m %s -k %s %s\n", at[1], at[3], at[2]
  }
  for (i = 1; i <= m; i++) print "# " asked[i] ": " sum(asked[i])
  print sum("")
  exit n["", "failed"] > 0 || n["", "ok"] == 0
}
