/* Shell completion for bash, zsh and fish: small scripts that ask `maculaos completion words` what can stand next. */
#include <stdio.h>

#include "cli-command.h"
#include "cli-output.h"

/* bash takes words apart at = and :, as in --output=json; they are put together again, and what it then takes for done
 * already is cut off the answers. */
static const char bash[] =
    "# bash completion for maculaos: source <(maculaos completion bash)\n"
    "_maculaos() {\n"
    "  local raw=${COMP_WORDS[COMP_CWORD]} word line done_already glue=1 words=()\n"
    "  for word in \"${COMP_WORDS[@]:1:COMP_CWORD}\"; do\n"
    "    if [[ ${#words[@]} -gt 0 && ( $glue = 0 || $word =~ ^[=:]+$ ) ]]; then words[-1]+=$word; else "
    "words+=(\"$word\"); "
    "fi\n"
    "    if [[ $word =~ ^[=:]+$ ]]; then glue=0; else glue=1; fi\n"
    "  done\n"
    "  if [[ $raw =~ ^[=:]+$ ]]; then raw=; fi\n"
    "  done_already=${words[-1]%\"$raw\"}\n"
    "  COMPREPLY=()\n"
    "  while IFS=$'\\t' read -r line _; do\n"
    "    if [[ $line = :files ]]; then\n"
    "      compopt -o filenames 2>/dev/null\n"
    "      while IFS= read -r line; do COMPREPLY+=(\"$line\"); done < <(compgen -f -- \"$raw\")\n"
    "    else\n"
    "      COMPREPLY+=(\"${line#\"$done_already\"}\")\n"
    "    fi\n"
    "  done < <(\"${COMP_WORDS[0]}\" completion words -- \"${words[@]}\" 2>/dev/null)\n"
    "}\n"
    "complete -F _maculaos maculaos\n";

static const char zsh[] =
    "#compdef maculaos\n"
    "# zsh completion for maculaos: maculaos completion zsh > \"${fpath[1]}/_maculaos\"\n"
    "_maculaos() {\n"
    "  local line tab=$'\\t' files=0\n"
    "  local -a found\n"
    "  for line in \"${(@f)$(\"${words[1]}\" completion words -- \"${(@)words[2,CURRENT]}\" 2>/dev/null)}\"; do\n"
    "    if [[ $line = :files ]]; then files=1; elif [[ -n $line ]]; then found+=(\"${line%%$tab*}\"); fi\n"
    "  done\n"
    "  (( $#found )) && compadd -- \"${found[@]}\"\n"
    "  (( files )) && _files\n"
    "  (( files + $#found ))\n"
    "}\n"
    "if [[ $funcstack[1] = _maculaos ]]; then _maculaos; else compdef _maculaos maculaos; fi\n";

static const char fish[] =
    "# fish completion for maculaos: maculaos completion fish > ~/.config/fish/completions/maculaos.fish\n"
    "function __maculaos_words\n"
    "    set -l line (commandline -opc)\n"
    "    set -l current (commandline -ct)\n"
    "    test -n \"$current\"; or set current ''\n"
    "    for word in ($line[1] completion words -- $line[2..-1] $current 2>/dev/null)\n"
    "        if test \"$word\" = :files\n"
    "            __fish_complete_path $current\n"
    "        else\n"
    "            echo $word\n"
    "        end\n"
    "    end\n"
    "end\n"
    "complete -c maculaos -f -a '(__maculaos_words)'\n";

int cli_completion_run(cli_invocation *invocation) {
    const char *shell = cli_argument(invocation, 0);
    const char *script = mac_streq(shell, "bash")   ? bash
                         : mac_streq(shell, "zsh")  ? zsh
                         : mac_streq(shell, "fish") ? fish
                                                    : NULL;
    if (!script) {
        cli_error("expected bash, zsh or fish, found \"%s\"", shell);
        return CLI_USAGE;
    }
    fputs(script, stdout);
    return CLI_OK;
}
