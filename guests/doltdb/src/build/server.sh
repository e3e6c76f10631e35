# How the server of a replicated cluster is started, and ended when it is cut off. It runs in the server's image and needs bash and coreutils.
#
#   prepare PORT          before the server, on a volume that may have been another pod's
#   serve PORT COMMAND…   becomes the server, which listens on PORT
#
# A primary that reaches neither the API server nor another server is cut off: another one may take its place, so it must take no more writes. It is
# ended from here, since nobody else can be sure to reach it, and not started again before somebody answers. A primary that others have replaced
# starts as a standby, after what it has was kept: the new primary overwrites it. A standby is left alone.
#
# Times are in hundredths of a second of the kernel's clock, which no one sets. $period, $answer, $limit, $forget and $most are set before.

state=.doltdb            # what is kept here over restarts
roles=$DOLT_ROOT_PATH/.dolt/config_global.json

say() { echo "doltdb: $*" >&2; }
now() { read -r now _ < /proc/uptime; now=$((10#${now/./})); }

is_primary() { [[ -e $roles && $(< "$roles") == *'"sqlserver.cluster.dolt_cluster_role":"primary"'* ]]; }
epoch() { local text; text=$(< "$roles"); text=${text#*'"sqlserver.cluster.dolt_cluster_role_epoch":"'}; echo "${text%%\"*}"; }

# The other servers, as host:port of what they replicate by.
peers() { local key url; while read -r key url; do [[ $key == remote_url_template: ]] && url=${url#*://} && echo "${url%%/*}"; done < config.yaml; }

# Whether somebody at a host and port says anything. That a connection opens proves nothing: what stands in between may have opened it.
answers() {
  timeout "$answer" bash -c 'exec 3<> "/dev/tcp/$0/$1" && printf "GET /.well-known/jwks.json HTTP/1.0\r\n\r\n" >&3 && read -rn 1 -u 3' \
    "$1" "$2" 2> /dev/null
}
any_peer() (
  for peer in $(peers); do answers "${peer%:*}" "${peer##*:}" & done
  for peer in $(peers); do wait -n && exit; done
  exit 1
)

# Notes in $seen when somebody was last heard of, and in $api when the API server was. It counts from before the question.
look() {
  local at
  now; at=$now
  if answers "$KUBERNETES_SERVICE_HOST" "$KUBERNETES_SERVICE_PORT"; then
    api=$at seen=$at
  elif any_peer; then
    seen=$at
  else
    return 1
  fi
}

# Ends the server once it is a cut-off primary. Where the API server has never answered, or not for long while others did, its silence says nothing:
# a network policy may be in between, and then one server that is down would look like all of them.
watch() {
  now; seen=$now
  while sleep "$period" && kill -0 $$ 2> /dev/null; do
    is_primary || { now; seen=$now; continue; }
    look
    now
    if [[ -n $api ]] && ((seen - api < forget)); then
      [[ -e $state/fenced-when-cut-off ]] || : > "$state/fenced-when-cut-off"
      ((now - seen < limit)) && continue
      tell "cut off: neither the API server nor another server has answered for $(((now - seen) / 100)) s"
      kill -KILL $$
    elif [[ -e $state/fenced-when-cut-off ]]; then
      rm -f "$state/fenced-when-cut-off"
    fi
  done
}

# Waits until somebody answers. Who was cut off waits a little for the other servers, too: they know whether it has been replaced.
await() {
  look && return
  say "primary of epoch $(epoch) does not start: neither the API server nor another server answers"
  until look; do sleep 1; done
  local until=$((now + 1000))
  until any_peer; do now; ((now < until)) || break; sleep 1; done
}

# Whether another server is at a higher epoch than this one. Leaves it in $by and $its.
replaced() {
  local peer mine
  mine=$(epoch)
  for peer in $(peers); do
    answers "${peer%:*}" "${peer##*:}" || continue
    by=${peer%%.*}
    its=$(DOLT_CLI_PASSWORD=$DOLT_PASSWORD timeout 5 dolt --host "${peer%:*}" --port "$port" -u "$DOLT_USERNAME" --no-tls \
      sql -r csv -q 'select @@global.dolt_cluster_role_epoch' 2> /dev/null) || say "$by does not say its epoch"
    its=${its##*$'\n'}
    [[ $its =~ ^[0-9]+$ ]] && ((its > mine)) && return
  done
  return 1
}

# Keeps all databases as they are in a folder of the volume: table files by another name, since they never change, all else by a copy.
keep() {
  local place=$state/kept/$1 partial=$state/partial database file name
  rm -rf "$partial" && mkdir -p "$partial" "$state/kept" || return
  for database in */.dolt/noms/manifest; do
    [[ -e $database ]] || continue
    database=${database%%/*}
    cp -al "$database" "$partial/" || { rm -rf "${partial:?}/$database"; cp -a "$database" "$partial/"; } || return
  done
  shopt -s globstar dotglob
  for file in "$partial"/**; do
    name=${file##*/} name=${name%.darc}
    [[ -f $file && ! ($name =~ ^[0-9a-v]{32}$ && $name != v*vvvv) ]] || continue
    cp -a --remove-destination "${file#"$partial"/}" "$file" || return
  done
  sync "$partial" && mv "$partial" "$place"
}
kept() { local place; for place in "$state"/kept/*/; do [[ ! -d $place ]] || echo "kept $PWD/${place%/}"; done; }

# Says something where the kubelet shows it, with all that is kept on this volume.
tell() { say "$1"; { echo "$1"; kept; } > /dev/termination-log; }

# A primary that was replaced becomes a standby here, after what it has was kept.
give_way() {
  local old places text
  old=$(epoch)
  if ! keep "$(date -u +%Y%m%dT%H%M%SZ)-epoch-$old"; then
    tell "$by has replaced this primary of epoch $old at epoch $its, and what it has cannot be kept: make room on the volume"
    exit 1
  fi
  places=("$state"/kept/*/)
  while ((${#places[@]} > most)); do rm -rf "${places[0]}"; places=("${places[@]:1}"); done
  text=$(< "$roles")
  echo "${text/'"sqlserver.cluster.dolt_cluster_role":"primary"'/'"sqlserver.cluster.dolt_cluster_role":"standby"'}" > "$roles.new"
  chmod --reference "$roles" "$roles.new" && mv "$roles.new" "$roles" || exit 1
  tell "$by has replaced this primary of epoch $old at epoch $its: it is a standby now, and what it had is kept"
}

set +eu
mkdir -p "$state"
action=$1 port=$2
shift 2
case $action in
  prepare)
    if is_primary && replaced; then give_way; else kept > /dev/termination-log; fi
    ;;
  serve)
    if is_primary; then
      [[ -e $state/fenced-when-cut-off ]] && await
      # The message is seen when the container has ended.
      replaced && give_way && exit
    fi
    watch &
    exec "$@"
    ;;
esac
