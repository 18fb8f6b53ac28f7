"""The parts of completion scripts that are the same for every program.

`@NAME@`, `@ROWS@` and the like are filled in by core/completion.py.
"""

# For bash and zsh alike. Both give a function the variables of the one that calls it.
STEPS = """\
# What the table says of $1, in REPLY.
_@NAME@_at() {
    case "$1" in
@ROWS@
        *) REPLY='' ;;
    esac
}

# The command that $1 names, in REPLY.
_@NAME@_command() {
    case "$1" in
@NAMES@
        *) REPLY='' ;;
    esac
}

# Goes past a word that stands before the cursor.
_@NAME@_step() {
    local REPLY=''
    if [[ -z $called ]]; then
        _@NAME@_command "$1"
        [[ $1 == -* ]] || called="${REPLY:-unknown}"
    elif [[ $state == after ]]; then
        place=$((place + 1))
    elif [[ $1 == '--' ]]; then
        state=after
    elif [[ $1 == -*=* ]]; then
        state=none
    elif [[ $1 == -?* ]]; then
        _@NAME@_at "$called $1"
        state="${REPLY%% *}"
        option="$1"
    elif [[ $state == one ]]; then
        state=none
    elif [[ $state != many ]]; then
        place=$((place + 1))
    fi
}

# The row for the word at the cursor, in REPLY.
_@NAME@_row() {
    if [[ $state != after && $current == -*=* ]]; then
        _@NAME@_at "$called ${current%%=*}"
        [[ $REPLY == none* ]] && REPLY=''
    elif [[ $state != after && $current == -* ]]; then
        _@NAME@_at "$called -"
    elif [[ $state == one || $state == many ]]; then
        _@NAME@_at "$called $option"
    else
        _@NAME@_at "$called $place"
        [[ -n $REPLY ]] || _@NAME@_at "$called +"
    fi
}
"""

BASH = """\
# Completion of @NAME@ for bash, written by `@NAME@ completion bash`.

@STEPS@
_@NAME@() {
    local line="${COMP_LINE:0:COMP_POINT}" current='' called='' state=none option='' place=1
    local REPLY='' how='' rest='' lead='' word=''
    local -a typed
    COMPREPLY=()
    # Not COMP_WORDS: bash cuts a key at its colon.
    IFS=$' \\t\\n' read -r -d '' -a typed <<< "$line"
    [[ $line == *[[:space:]] ]] && typed+=('')
    local last=$((${#typed[@]} - 1)) index
    current="${typed[last]}"
    for ((index = 1; index < last; index++)); do
        _@NAME@_step "${typed[index]}"
    done
    _@NAME@_row
    how="${REPLY#* }"
    rest="${how#* }"
    [[ $how == *' '* ]] || rest=''
    how="${how%% *}"
    if [[ $state != after && $current == -*=* ]]; then
        [[ $COMP_WORDBREAKS == *=* ]] || lead="${current%%=*}="
        current="${current#*=}"
    fi
    if [[ $how == ask && ( $rest == files || $rest == folders ) ]]; then
        local kind=-f
        [[ $rest == folders ]] && kind=-d
        compopt -o filenames 2> /dev/null
        while IFS= read -r word; do
            COMPREPLY+=("$lead$word")
        done < <(compgen "$kind" -- "$current")
        return 0
    fi
    if [[ $how == ask ]]; then
        local program="${1/#\\~\\//$HOME/}"
        rest="$("$program" completion --words "$rest" 2> /dev/null < /dev/null)"
    fi
    # One by one: `compgen -W` would run what stands in a word.
    while IFS= read -r word; do
        [[ -n $word && $word == "$current"* ]] && COMPREPLY+=("$lead$word")
    done <<< "${rest// /$'\\n'}"
    # Where a colon cuts words, only what follows the last one is put in.
    if [[ $current == *:* && $COMP_WORDBREAKS == *:* ]]; then
        COMPREPLY=("${COMPREPLY[@]#"${current%"${current##*:}"}"}")
    fi
    return 0
}

complete -F _@NAME@ @NAME@
"""

ZSH = """\
#compdef @NAME@
# Completion of @NAME@ for zsh, written by `@NAME@ completion zsh`.

@STEPS@
_@NAME@() {
    local current="${words[CURRENT]}" called='' state=none option='' place=1
    local REPLY='' how='' rest=''
    local -i index
    local -a found
    for ((index = 2; index < CURRENT; index++)); do
        _@NAME@_step "${words[index]}"
    done
    if [[ -z $called && $current != -* ]]; then
        found=(
@DESCRIBED@
        )
        _describe -t commands command found
        return
    fi
    _@NAME@_row
    how="${REPLY#* }"
    rest="${how#* }"
    [[ $how == *' '* ]] || rest=''
    how="${how%% *}"
    if [[ $state != after && $current == -*=* ]]; then
        compset -P '*='
    fi
    if [[ $how == ask && $rest == files ]]; then
        _files
        return
    elif [[ $how == ask && $rest == folders ]]; then
        _files -/
        return
    elif [[ $how == ask ]]; then
        local program="${${(Q)words[1]}/#\\~\\//$HOME/}"
        found=("${(@f)$("$program" completion --words "$rest" 2> /dev/null < /dev/null)}")
    else
        found=(${=rest})
    fi
    compadd -a -- found
}

if [[ ${funcstack[1]} == _@NAME@ ]]; then
    _@NAME@ "$@"
else
    compdef _@NAME@ @NAME@
fi
"""

POWERSHELL = """\
# Completion of @NAME@ for PowerShell, written by `@NAME@ completion powershell`.
$script:@NAME@Table = @{
@ROWS@
}
$script:@NAME@Names = @{
@NAMES@
}
$script:@NAME@Words = @{
@WORDS@
}

Register-ArgumentCompleter -Native -CommandName '@NAME@' -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)
    $current = [string]$wordToComplete
    $typed = @($commandAst.CommandElements |
            Where-Object { $_.Extent.EndOffset -le $cursorPosition } |
            ForEach-Object { $_.ToString() })
    $program = $typed[0]
    $before = @($typed | Select-Object -Skip 1)
    if ($current -ne '' -and $before.Count -gt 0) {
        $before = @($before | Select-Object -SkipLast 1)
    }
    $called = ''
    $state = 'none'
    $option = ''
    $place = 1
    foreach ($word in $before) {
        if ($called -eq '') {
            if ($word -like '-*') { continue }
            $called = [string]$script:@NAME@Names[$word]
            if ($called -eq '') { $called = 'unknown' }
        } elseif ($state -eq 'after') {
            $place += 1
        } elseif ($word -eq '--') {
            $state = 'after'
        } elseif ($word -like '-*=*') {
            $state = 'none'
        } elseif ($word -like '-?*') {
            $state = ([string]$script:@NAME@Table["$called $word"] -split ' ')[0]
            $option = $word
        } elseif ($state -eq 'one') {
            $state = 'none'
        } elseif ($state -ne 'many') {
            $place += 1
        }
    }
    $lead = ''
    if ($state -ne 'after' -and $current -like '-*=*') {
        $row = [string]$script:@NAME@Table["$called $(($current -split '=', 2)[0])"]
        if ($row -like 'none*') { $row = '' }
        $lead = ($current -split '=', 2)[0] + '='
        $current = ($current -split '=', 2)[1]
    } elseif ($state -ne 'after' -and $current -like '-*') {
        $row = [string]$script:@NAME@Table["$called -"]
    } elseif ($state -eq 'one' -or $state -eq 'many') {
        $row = [string]$script:@NAME@Table["$called $option"]
    } else {
        $row = [string]$script:@NAME@Table["$called $place"]
        if ($row -eq '') { $row = [string]$script:@NAME@Table["$called +"] }
    }
    $parts = @($row -split ' ' | Select-Object -Skip 1)
    $how = [string]$parts[0]
    $rest = @($parts | Select-Object -Skip 1)
    if ($how -eq 'ask') {
        # Files are completed by PowerShell itself when nothing comes back.
        if ($rest[0] -eq 'files' -or $rest[0] -eq 'folders') { return }
        $rest = @(& $program completion --words $rest[0] 2>$null)
    }
    $rest | Where-Object { $_ -and $_.StartsWith($current) } | ForEach-Object {
        $tip = [string]$script:@NAME@Words[$_]
        if ($called -ne '' -or $tip -eq '') { $tip = $_ }
        [System.Management.Automation.CompletionResult]::new("$lead$_", $_, 'ParameterValue', $tip)
    }
}
"""
