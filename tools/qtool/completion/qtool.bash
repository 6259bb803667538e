# bash completion for qtool. It asks the program itself, so that no list here can go stale.

_qtool_words() {  # the commands, or with a command its flags
  if [ -z "${2-}" ]; then
    "$1" --help 2>/dev/null | sed -n '/^Commands:/,/^$/s/^  \([a-z][a-z-]*\) .*/\1/p'
  else
    "$1" "$2" --help 2>/dev/null | sed -n 's/^  \(-[^ ]*\).*/\1/p' | tr , '\n'
  fi
}

_qtool_choices() {  # what may follow flag $3 of command $2: "a|b|c" of its help
  "$1" "$2" --help 2>/dev/null |
    sed -n "s/^  \(-.,\)\{0,1\}$3 \([a-z0-9|-]*|[a-z0-9|-]*\).*/\2/p" | tr '|' '\n'
}

_qtool() {
  local program=${COMP_WORDS[0]} word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}
  local command=
  COMPREPLY=()
  [ "$COMP_CWORD" -le 1 ] || command=${COMP_WORDS[1]}
  if [ -z "$command" ]; then
    mapfile -t COMPREPLY < <(compgen -W "$(_qtool_words "$program") --help --version" -- "$word")
  elif [[ $word == -* ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$(_qtool_words "$program" "$command")" -- "$word")
  else
    local choices=
    [[ $before != --* ]] || choices=$(_qtool_choices "$program" "$command" "$before")
    if [ -n "$choices" ]; then
      mapfile -t COMPREPLY < <(compgen -W "$choices" -- "$word")
    else
      compopt -o filenames 2>/dev/null
      mapfile -t COMPREPLY < <(compgen -f -- "$word")
    fi
  fi
}

complete -F _qtool qtool
