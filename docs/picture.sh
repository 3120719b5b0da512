#!/bin/bash
# docs/picture.sh > docs/architecture.svg: the picture of plan-then-run and of the rooms.
set -euo pipefail

box() { # X Y WIDTH HEIGHT CLASS TITLE [LINE...]: a box with its words
  local x=$1 y=$2 width=$3 height=$4 class=$5 title=$6 line at
  shift 6
  printf '<rect class="%s" x="%d" y="%d" width="%d" height="%d" rx="6"/>\n' "$class" "$x" "$y" "$width" "$height"
  printf '<text class="title" x="%d" y="%d">%s</text>\n' $((x + 12)) $((y + 22)) "$title"
  at=$((y + 40))
  for line; do
    printf '<text x="%d" y="%d">%s</text>\n' $((x + 12)) "$at" "$line"
    at=$((at + 16))
  done
}
arrow() { # X1 Y1 X2 Y2 [WORDS]
  printf '<path class="arrow" d="M%d %d L%d %d"/>\n' "$1" "$2" "$3" "$4"
  [ $# -lt 5 ] || printf '<text class="small" x="%d" y="%d">%s</text>\n' $((($1 + $3) / 2 - 24)) $((($2 + $4) / 2 - 6)) "$5"
}

cat <<'SVG'
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 960 640" role="img" aria-label="Plan, then run; and the rooms">
<style>
  rect { fill: #f6f8fa; stroke: #57606a; stroke-width: 1.2 }
  rect.pure { fill: #dafbe1; stroke: #1a7f37 }
  rect.acts { fill: #ddf4ff; stroke: #0969da }
  rect.ground { fill: #fff8c5; stroke: #9a6700 }
  text { font: 12px sans-serif; fill: #24292f }
  text.title { font-weight: bold; font-size: 14px }
  text.small { font-size: 11px; fill: #57606a }
  path.arrow { stroke: #57606a; stroke-width: 1.4; fill: none; marker-end: url(#tip) }
</style>
<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">
<path d="M0 0 L8 4 L0 8 z" fill="#57606a"/></marker></defs>
<rect width="960" height="640" style="fill:#ffffff;stroke:none"/>
SVG
box 20 20 200 60 pure 'config.json' 'checked and resolved: Config'
box 20 100 200 60 '' 'argv' 'cmd: Request'
box 20 180 200 60 '' 'the machine' 'host: asked once'
box 290 70 190 130 pure 'plan: pure' 'no I/O, no clock' 'a list of steps, each with' 'the field that asked for it' '`knarr plan` prints it'
arrow 220 50 288 100
arrow 220 130 288 135
arrow 220 210 288 170
box 560 20 380 90 acts 'parent: host and settle steps' 'cgroup, limits, namespaces opened, host trees cloned;' 'id maps and devices while init waits; hooks; the record'
box 560 170 380 90 acts 'init: enter, root, process steps' 'namespaces, mounts by descriptors, pivot_root,' 'ids, capabilities, filter, execve'
arrow 480 110 558 70
arrow 480 160 558 210
arrow 700 110 700 168 'clone3'
arrow 800 170 800 112 'ready'
box 20 300 455 50 '' 'cli, cmd' 'the command line, one file a command; nothing below knows it'
box 485 300 455 50 '' 'shim' 'containerd speaks to it; its jobs call what commands call'
box 20 360 300 50 acts 'parent' 'creates, starts, executes, restores'
box 330 360 300 50 acts 'child' 'init: takes the steps in order'
box 640 360 300 50 acts 'acts' 'what both do alike'
box 20 420 224 50 '' 'check, image, layer' 'lacks; bundles; changes'
box 254 420 224 50 '' 'log, hook' 'words out, programs called'
box 488 420 224 50 '' 'state, cgroup' 'records; processes and limits'
box 722 420 218 50 '' 'channel' 'parent and init speak'
box 20 480 455 50 pure 'plan' 'what will be done: steps, stages, seccomp and device filters'
box 485 480 455 50 '' 'config' 'what is asked; the only room with oci-spec beside image'
box 20 540 300 50 ground 'host, proc' 'facts; the texts of the kernel'
box 330 540 300 50 ground 'capability, id, fault, walk …' 'types and small parts that all share'
box 640 540 300 50 ground 'sys' 'the only unsafe'
printf '<text class="small" x="20" y="620">A room uses those further down. Green is pure, blue acts, yellow is the ground.</text>\n</svg>\n'
