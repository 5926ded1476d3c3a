# SPDX-License-Identifier: GPL-2.0
# bash completion for posada(1). Options and names come from the tool itself, so they are those of
# the version that is installed.

# The words in `posada COMMAND --help` that begin with a dash.
_posada_options() {
	"$1" ${2:+"$2"} --help 2>/dev/null | grep -oE -- '(^|[ ,\[])--?[a-z][a-z-]*' | tr -d ' ,[' | sort -u
}

# The names of the VMs that run.
_posada_names() {
	"$1" ps 2>/dev/null | awk 'NR > 1 { print $1 }'
}

_posada() {
	local tool=$1 cur=$2 prev=$3 command=${COMP_WORDS[1]}

	COMPREPLY=()
	if [ "$COMP_CWORD" -le 1 ]; then
		mapfile -t COMPREPLY < <(compgen -W "$("$tool" --help 2>/dev/null |
			sed -n '/^Commands/,/^$/s/^  \([a-z]*\) .*/\1/p') --help --version" -- "$cur")
		return
	fi
	case $prev in
	--kernel | -k | --initrd | -i | --module | --modules | --disk | --device)
		compopt -o filenames
		mapfile -t COMPREPLY < <(compgen -f -- "${cur#\'}")
		return ;;
	--boot) mapfile -t COMPREPLY < <(compgen -W "linux multiboot pvh" -- "$cur"); return ;;
	--backend) mapfile -t COMPREPLY < <(compgen -W "svm vmx" -- "$cur"); return ;;
	--append | -a | --mem | -m | --vcpus | -c | --exec | -e | --env | -w | --workdir | -u | --user | --hostname | --limit | --cgroup | --name | --gdb | --timeout | --step | -n) return ;;
	esac
	case $cur in
	-*)
		mapfile -t COMPREPLY < <(compgen -W "$(_posada_options "$tool" "$command")" -- "$cur")
		return ;;
	esac
	case $command in
	run)
		compopt -o filenames
		mapfile -t COMPREPLY < <(compgen -f -- "$cur") ;;
	stop | kill | console | exec | generation | stats)
		mapfile -t COMPREPLY < <(compgen -W "$(_posada_names "$tool")" -- "$cur") ;;
	esac
}

complete -F _posada posada
