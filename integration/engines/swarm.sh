# Docker Swarm: three daemons, each in a network namespace of its own, as the nodes.
# shellcheck shell=bash disable=SC2034,SC2154
PATIENCE=150 ROW_LIMIT=400

versions() {
  echo "Docker Engine $(on 1 version -f '{{.Server.Version}}')"
  "$RUNTIME" --version | head -1
}
on() { docker -H "unix:///run/node$1.sock" "${@:2}"; } # NODE COMMAND...

engine_start() {
  local n
  modprobe -a ip_vs vxlan
  sysctl -qw net.ipv4.ip_forward=1 # the network namespaces that the daemons make have it from the machine's, not from the node's
  iptables -P FORWARD ACCEPT # where a daemon ran before, bridged traffic is dropped
  ip link add nodes type bridge && ip link set nodes up
  for n in 1 2 3; do
    mkdir -p /var/lib/node$n
    ip netns add node$n
    ip link add veth$n type veth peer name eth0 netns node$n
    ip link set veth$n master nodes up
    ip -n node$n addr add 10.9.0.$n/24 dev eth0
    ip -n node$n link set eth0 up
    ip -n node$n link set lo up
    echo '{"runtimes": {"knarr": {"path": "/usr/local/sbin/knarr"}, "knarr-shim": {"runtimeType": "io.containerd.knarr.v2"}}, "default-runtime": "'"$RT"'"}' >/var/lib/node$n/daemon.json
    systemd-run --quiet --collect --unit node$n -p Delegate=yes -p TasksMax=infinity nsenter --net=/run/netns/node$n unshare --uts sh -c "hostname node$n; exec dockerd --config-file /var/lib/node$n/daemon.json \
      --data-root /var/lib/node$n/data --exec-root /run/node$n --pidfile /run/node$n.pid -H unix:///run/node$n.sock"
  done
  tar -C "$BOX" -cf /var/tmp/box.tar .
  for n in 1 2 3; do eventually on $n version >/dev/null; on $n import -c 'CMD ["sh"]' /var/tmp/box.tar box; done
  on 1 swarm init --advertise-addr 10.9.0.1
  local token
  token=$(on 1 swarm join-token -q worker)
  on 2 swarm join --token "$token" 10.9.0.1:2377
  on 3 swarm join --token "$token" 10.9.0.1:2377
}
engine_stop() {
  local n
  tidy
  for n in 1 2 3; do on $n swarm leave -f; systemctl stop node$n; ip netns del node$n; done
  sleep 1
  ip link del nodes
  rm -rf /var/lib/node[123]
}
tidy() {
  local all n
  ip link set veth3 up
  all=$(on 1 service ls -q)
  # shellcheck disable=SC2086
  [ -z "$all" ] || on 1 service rm $all
  on 1 node update --availability active node3
  for n in 1 2 3; do eventually gives '' on $n ps -q; all=$(on $n ps -aq); [ -z "$all" ] || on $n rm -f $all; done
  eventually gives $'Ready\nReady\nReady' on 1 node ls --format '{{.Status}}'
}
left_behind() {
  find /run/node1 /run/node2 /run/node3 -mindepth 3 -maxdepth 3 -path '*/runtime-*/moby/*'
  find /run/containerd/knarr/moby -mindepth 1
}

service() { did on 1 service create --quiet --detach --no-resolve-image --stop-grace-period 1s --update-monitor 1s --rollback-monitor 1s "$@"; }
tasks() { on 1 service ps --filter desired-state=running --format '{{.CurrentState}}' "$1" | grep -c '^Running'; }
versions_running() { # what the variable V says in each container
  local n id
  for n in 1 2 3; do for id in $(on $n ps -q); do on $n exec "$id" sh -c 'echo $V'; done; done
}
nodes_of() { on 1 service ps --filter desired-state=running --format '{{.Node}}' "$1" | sort -u | tr '\n' ' '; }

row_nodes_join() { did on 1 node ls --format '{{.Hostname}} {{.Status}}'; assert_eq "$(sort <<<"$OUT")" $'node1 Ready\nnode2 Ready\nnode3 Ready'; }
row_service_of_six() {
  service --name s --replicas 6 box sleep 1000
  eventually gives 6 tasks s
  assert_eq "$(nodes_of s)" 'node1 node2 node3 '
  did on 2 ps -q; did on 2 inspect -f '{{.HostConfig.Runtime}}' "${OUT%%$'\n'*}"; assert_match "$OUT" "^($RT)?\$"
  if [[ $RT == *-shim ]]; then assert_exists "/run/containerd/knarr/moby/$(on 2 ps -q --no-trunc | head -1)/state.json"
  else assert_exists "$(find /run/node2/runtime-*/moby -name state.json | head -1)"; fi
  did on 1 service scale -d s=2; eventually gives 2 tasks s
}
row_rolling_update() {
  service --name s --replicas 3 --update-parallelism 1 --env V=1 box sleep 1000
  eventually gives 3 tasks s
  did on 1 service update -d --no-resolve-image --env-add V=2 s
  eventually gives completed on 1 service inspect -f '{{.UpdateStatus.State}}' s
  eventually gives $'2\n2\n2' versions_running
  did on 1 service rollback -d s; eventually gives rollback_completed on 1 service inspect -f '{{.UpdateStatus.State}}' s
}
row_task_that_ends_is_started_again() {
  service --name s --restart-delay 0s box sleep 1000; eventually gives 1 tasks s
  local n=1 id; while id=$(on $n ps -q); [ -z "$id" ]; do n=$((n + 1)); done
  on $n kill "$id"
  eventually has Failed on 1 service ps s --format '{{.CurrentState}}'; eventually gives 1 tasks s
}
row_limits_secrets_and_configs_of_a_task() {
  echo hush | on 1 secret create s1 - >/dev/null; echo open | on 1 config create c1 - >/dev/null
  service --name s --constraint node.hostname==node1 --secret s1 --config c1 --limit-memory 64m --limit-cpu 0.5 --limit-pids 50 --user 1000 --read-only --init --cap-drop ALL box sleep 1000
  eventually gives 1 tasks s
  local id; id=$(on 1 ps -q)
  did on 1 exec "$id" sh -c 'cat /run/secrets/s1 /c1; id -u; touch /f 2>/dev/null || echo refused'; assert_eq "$OUT" $'hush\nopen\n1000\nrefused'
  did on 1 inspect -f '{{.State.Pid}}' "$id"
  assert_eq "$(cat /sys/fs/cgroup"$(sed -n 's/^0:://p' "/proc/$OUT/cgroup")"/{memory.max,cpu.max,pids.max} | tr '\n' ' ')" '67108864 50000 100000 50 '
  did on 1 service rm s; on 1 secret rm s1; on 1 config rm c1
}
row_services_reach_each_other_over_the_overlay() {
  did on 1 network create -d overlay --attachable net
  service --name web --network net --constraint node.hostname==node2 box httpd -f -p 80 -h /var/www
  service --name client --network net --constraint node.hostname==node3 box sleep 1000
  eventually gives 1 tasks web; eventually gives 1 tasks client
  local id; id=$(on 3 ps -q)
  eventually gives 'hello from the box' on 3 exec "$id" wget -qO- -T 5 http://web/
  did on 1 service rm web client; eventually on 1 network rm net
}
row_published_port_on_every_node() {
  service --name web --publish 8000:80 --constraint node.hostname==node2 box httpd -f -p 80 -h /var/www
  eventually gives 1 tasks web
  eventually gives 'hello from the box' ip netns exec node2 busybox wget -qO- -T 5 http://10.9.0.2:8000/
  eventually gives 'hello from the box' ip netns exec node1 busybox wget -qO- -T 5 http://10.9.0.3:8000/
}
row_published_port_in_host_mode() {
  service --name web --publish mode=host,published=8001,target=80 --constraint node.hostname==node2 box httpd -f -p 80 -h /var/www
  eventually gives 1 tasks web
  eventually gives 'hello from the box' ip netns exec node1 busybox wget -qO- -T 5 http://10.9.0.2:8001/
  called ip netns exec node1 busybox wget -qO- -T 5 http://10.9.0.3:8001/; [ "$RC" != 0 ] || fail 'another node has it, too'
}
row_drained_node_gives_its_tasks_away() {
  service --name s --replicas 3 box sleep 1000; eventually gives 3 tasks s
  did on 1 node update --availability drain node3
  eventually gives 'node1 node2 ' nodes_of s; eventually gives 3 tasks s
  eventually gives '' on 3 ps -q
}
row_tasks_of_a_lost_node_move() {
  service --name s --replicas 3 box sleep 1000; eventually gives 3 tasks s
  ip link set veth3 down
  eventually gives Down on 1 node ls --filter name=node3 --format '{{.Status}}'
  eventually gives 'node1 node2 ' nodes_of s; eventually gives 3 tasks s
  ip link set veth3 up
  eventually gives Ready on 1 node ls --filter name=node3 --format '{{.Status}}'
  eventually gives '' on 3 ps -q # what ran on there is stopped
}
row_global_service() { service --name s --mode global box sleep 1000; eventually gives 3 tasks s; assert_eq "$(nodes_of s)" 'node1 node2 node3 '; }
