#requires -Version 5.1
# Makes this folder's Python environment, then gets every model that this machine needs:
# the twin of bootstrap.sh. There is no param block, so that options keep their two dashes
# and are handed on as they are.
Set-StrictMode -Version Latest
$ErrorActionPreference = 'Stop'
# Newer versions can make a program's exit code an exception; we hand the code on.
$PSNativeCommandUseErrorActionPreference = $false

# Windows consoles and pipes are rarely UTF-8; what we print is.
# Without a console (a service) there is nothing to set.
try { [Console]::OutputEncoding = [System.Text.UTF8Encoding]::new($false) } catch { $null = $_ }
$env:PYTHONUTF8 = '1'

$usage = @'
usage: scripts\bootstrap.ps1 [--demo] [--models-only] [--no-models] [--server]
                             [options of `modelset download`]

Makes .venv, installs what the downloader needs, then profiles the hardware, downloads
the models and checks them. The runtime libraries of requirements.txt are installed in
the background meanwhile. Run it again at any time: what is there is left alone.

  --demo          an embedded hub with tiny models instead of the internet, under
                  out\demo\; implies --models-only. The very first run still needs a
                  package index for the core libraries.
  --models-only   leave out the runtime libraries (alias --no-runtime)
  --no-models     only the environment and the runtime libraries
  --server        also what `modelset serve` needs; once is enough
  -h, --help      this text

Everything else is handed to `modelset bootstrap`, for example:
  --whisper-models base large-v3   --hf-token TOKEN   --max-workers 5   --timeout 600
  --only critical   --dry-run   --json   --quiet   --no-color
The whole list: .venv\Scripts\modelset.cmd bootstrap --help

environment:
  PYTHON          the interpreter to make .venv with (3.11 or later)
  MODELSET_OUT    where logs go instead of out\

exit codes: the models' own (0 ready, 4 critical missing, 5 network, 6 credentials,
7 disk, 8 integrity, 12 deadline, ...); before the models start: 2 no usable Python or
environment, 5 package index not reached, 7 disk full; 1 when the models are fine and
the runtime libraries could not be installed.
'@

$root = Split-Path -Parent $PSScriptRoot
$venv = Join-Path $root '.venv'
# The interpreter itself: Activate.ps1 needs an execution policy that many machines forbid.
$venvPython = Join-Path $venv 'Scripts\python.exe'
$out = Join-Path $root 'out'
if ($env:MODELSET_OUT) { $out = $env:MODELSET_OUT }
$pipOptions = @('-P', '-m', 'pip', 'install', '--disable-pip-version-check', '--no-input', '-q')

$withModels = $true
$withRuntime = $true
$withServer = 'no'
$demo = $false
$quiet = $false
$passedOn = @()
$script:installs = @()

# ---- words: all on stderr, so that --json leaves stdout clean ------------------------------

function Write-Word([string] $Text) {
    if (-not $script:quiet) { [Console]::Error.WriteLine($Text) }
}

function Exit-WithError([int] $Code, [string] $Message, [string] $Hint) {
    [Console]::Error.WriteLine("error: $Message")
    if ($Hint) { [Console]::Error.WriteLine("hint: $Hint") }
    exit $Code
}

# ---- processes -----------------------------------------------------------------------------

# Start-Process joins its arguments with blanks and quotes nothing.
function ConvertTo-Argument([string] $Text) {
    if ($Text -match '[\s"]') { return '"' + ($Text -replace '"', '\"') + '"' }
    return $Text
}

function Start-Logged([string] $Program, [string[]] $Arguments, [string] $Log) {
    $quoted = $Arguments | ForEach-Object { ConvertTo-Argument $_ }
    $process = Start-Process -FilePath $Program -ArgumentList $quoted -NoNewWindow -PassThru `
        -RedirectStandardOutput $Log -RedirectStandardError "$Log.err"
    # Without its handle, Windows PowerShell forgets the exit code.
    $null = $process.Handle
    $script:installs += $process
    return $process
}

# Both streams end up in one log, as in the twin.
function Wait-Logged([System.Diagnostics.Process] $Process, [string] $Log) {
    $Process.WaitForExit()
    if (Test-Path -LiteralPath "$Log.err") {
        Get-Content -LiteralPath "$Log.err" | Add-Content -LiteralPath $Log
        Remove-Item -LiteralPath "$Log.err" -Force
    }
    return $Process.ExitCode
}

function Stop-Install {
    foreach ($process in $script:installs) {
        if (-not $process.HasExited) {
            # The tree: pip runs compilers and other pips of its own.
            & taskkill.exe /PID $process.Id /T /F | Out-Null
        }
    }
}

# What a program prints, or $null when it does not run or fails.
function Read-Output([string] $Program, [string[]] $Arguments) {
    # Windows PowerShell turns a program's stderr into an error when it is redirected.
    $ErrorActionPreference = 'Continue'
    try {
        $text = & $Program @Arguments 2>$null
        if ($LASTEXITCODE -ne 0) { return $null }
        return ($text -join "`n")
    } catch {
        return $null
    }
}

# ---- Python --------------------------------------------------------------------------------

# Only single quotes inside: Windows PowerShell drops double quotes on the way to a program.
$newEnough = 'import sys; sys.exit(sys.version_info < (3, 11))'
$printVersion = 'import sys; print(''%d.%d.%d'' % sys.version_info[:3])'

function Test-NewEnough([string] $Program, [string[]] $Options) {
    return $null -ne (Read-Output $Program ($Options + @('-I', '-S', '-c', $newEnough)))
}

# A name on PATH proves nothing (the Store leaves stubs that do not run), so each candidate
# is run; one that cannot make an environment gives way to the next.
function Find-Python {
    $found = @()
    $withoutVenv = $false
    $choices = @(@('py', '-3.13'), @('py', '-3.12'), @('py', '-3.11'), @('python3.13'),
        @('python3.12'), @('python3.11'), @('python3'), @('python'))
    if ($env:PYTHON) {
        if (-not (Get-Command $env:PYTHON -ErrorAction SilentlyContinue)) {
            Exit-WithError 2 "PYTHON names '$($env:PYTHON)', which is not there" 'correct PYTHON or unset it'
        }
        $choices = @(, @($env:PYTHON))
    }
    foreach ($choice in $choices) {
        $program = $choice[0]
        $options = @($choice | Select-Object -Skip 1)
        if (-not (Get-Command $program -ErrorAction SilentlyContinue)) { continue }
        $version = Read-Output $program ($options + @('-E', '-S', '-c', $printVersion))
        if (-not $version) {
            $found += "$choice (does not run)"
        } elseif (-not (Test-NewEnough $program $options)) {
            $found += "$choice is $version"
        } elseif ($null -eq (Read-Output $program ($options + @('-I', '-c', 'import ensurepip, venv')))) {
            $found += "$choice is $version without venv"
            $withoutVenv = $true
        } else {
            return @{ Program = $program; Options = $options; Version = $version }
        }
    }
    $names = 'none'
    if ($found) { $names = $found -join ', ' }
    if ($withoutVenv) {
        Exit-WithError 2 "this Python cannot make an environment: its venv or ensurepip module is missing ($names)" `
            'install Python 3.11 or later with the ordinary installer, then run this again'
    }
    Exit-WithError 2 "Python 3.11 or later is needed; found: $names" `
        'install one with: winget install Python.Python.3.13, or set PYTHON to the one to use'
}

# ---- failures of pip and venv ----------------------------------------------------------------

$networkSigns = 'NewConnectionError|NameResolutionError|name resolution|getaddrinfo|ConnectTimeout|' +
    'ReadTimeout|timed out|Network is unreachable|No route to host|Connection refused|Connection reset|' +
    'connection broken|Connection aborted|RemoteDisconnected|ProxyError|SSLError|Max retries exceeded|' +
    'Could not fetch URL|WinError 100|HTTP error (429|5\d\d)'

function Get-Cause([string] $Log) {
    $lines = @(Get-Content -LiteralPath $Log -ErrorAction SilentlyContinue)
    $text = $lines -join "`n"
    # A full disk may have had no room for the message either.
    $drive = Get-PSDrive -Name ($root.Substring(0, 1)) -PSProvider FileSystem -ErrorAction SilentlyContinue
    $full = $drive -and $null -ne $drive.Free -and $drive.Free -lt 4194304
    if ($full -or $text -match 'Errno (28|122)|WinError 112|No space left on device|not enough space') {
        return @{ Code = 7; Message = 'the disk is full'
            Hint = "free some space, or point TEMP to a disk with room, then run this again; log: $Log" }
    }
    if ($text -match $script:networkSigns) {
        return @{ Code = 5; Message = 'the package index cannot be reached'
            Hint = "check the network, the proxy (HTTPS_PROXY) and pip's own configuration, then run this again; log: $Log" }
    }
    $last = 'no reason given'
    $errors = @($lines | Where-Object { $_ -match '^\s*error:' })
    if ($errors) { $last = $errors[-1] } elseif ($lines) { $last = $lines[-1] }
    return @{ Code = 2; Message = $last; Hint = "the whole log: $Log" }
}

# ---- environment -----------------------------------------------------------------------------

function Initialize-Environment {
    if ((Test-Path -LiteralPath $venvPython) -and (Test-NewEnough $venvPython @())) { return }
    if ((Test-Path -LiteralPath $venv) -and -not (Test-Path -LiteralPath (Join-Path $venv 'pyvenv.cfg')) `
            -and (Get-ChildItem -LiteralPath $venv -Force | Select-Object -First 1)) {
        # Not something that venv made: emptying it could destroy what is someone's own.
        Exit-WithError 2 "$venv is there, but is no Python environment" 'move it away, then run this again'
    }
    $python = Find-Python
    if (Test-Path -LiteralPath $venv) {
        Write-Word 'the Python of .venv does not run or is older than 3.11: making .venv again'
    }
    Write-Word "making .venv with $($python.Program) ($($python.Version))"
    $log = Join-Path $out 'venv.log'
    $process = Start-Logged $python.Program ($python.Options + @('-I', '-m', 'venv', '--clear', $venv)) $log
    if ((Wait-Logged $process $log) -ne 0) {
        $cause = Get-Cause $log
        Exit-WithError $cause.Code "the environment could not be made: $($cause.Message)" $cause.Hint
    }
}

# Prints a stamp for the core and one for the runtime libraries, and writes the list of the
# core to a file: the project itself is never installed, so a moved folder still works.
$readWanted = @'
import hashlib, os, sys, tomllib

root, venv, with_server = sys.argv[1:]
with open(os.path.join(root, 'pyproject.toml'), 'rb') as file:
    project = tomllib.load(file)['project']
with open(os.path.join(root, 'requirements.txt'), encoding='utf-8') as file:
    lines = [line.split(' #')[0].strip() for line in file]
runtime = [line for line in lines if line and not line.startswith('#')]


def stamp(names):
    text = '\n'.join(['%d.%d' % sys.version_info[:2], *names])
    return hashlib.sha256(text.encode()).hexdigest()


listing = os.path.join(venv, 'modelset-core.txt')
try:
    with open(listing, encoding='utf-8') as file:
        current = file.read()
except OSError:
    current = ''
core = project['dependencies']
if with_server == 'yes' or '\nfastapi' in current:
    core += project['optional-dependencies']['server']
with open(listing, 'w', encoding='utf-8') as file:
    file.write('\n'.join(core) + '\n')
print(stamp(core), stamp(runtime))
'@

function Test-Stamp([string] $Name, [string] $Wanted) {
    $file = Join-Path $venv "modelset-$Name.stamp"
    return (Test-Path -LiteralPath $file) -and ((Get-Content -LiteralPath $file -TotalCount 1) -eq $Wanted)
}

function Write-Stamp([string] $Name, [string] $Wanted) {
    Set-Content -LiteralPath (Join-Path $venv "modelset-$Name.stamp") -Value $Wanted -Encoding Ascii
}

function Assert-Pip {
    if ($null -ne (Read-Output $venvPython @('-I', '-c', 'import pip'))) { return }
    # An interrupted first run leaves an environment without pip.
    if ($null -eq (Read-Output $venvPython @('-I', '-m', 'ensurepip'))) {
        Exit-WithError 2 '.venv has no pip' "remove $venv, then run this again"
    }
}

function Install-Core([string] $Stamp) {
    if (Test-Stamp 'core' $Stamp) { return }
    Assert-Pip
    $log = Join-Path $out 'core-install.log'
    Write-Word "installing the core libraries (log: $log)"
    $process = Start-Logged $venvPython ($pipOptions + @('-r', (Join-Path $venv 'modelset-core.txt'))) $log
    if ((Wait-Logged $process $log) -ne 0) {
        $cause = Get-Cause $log
        Exit-WithError $cause.Code "the core libraries could not be installed: $($cause.Message)" $cause.Hint
    }
    Write-Stamp 'core' $Stamp
}

function Write-Launcher {
    # %~dp0 is where the file lies, so that a moved folder still works.
    $text = "@echo off`r`nsetlocal`r`nset `"PYTHONPATH=%~dp0..\..\shared`"`r`n" +
        "set `"PYTHONUTF8=1`"`r`n`"%~dp0python.exe`" -P -m modelset %*`r`nexit /b %ERRORLEVEL%`r`n"
    [System.IO.File]::WriteAllText((Join-Path $venv 'Scripts\modelset.cmd'), $text)
}

# ---- arguments ---------------------------------------------------------------------------------

$readingOptions = $true
foreach ($argument in $args) {
    $name = "$argument"
    if (-not $readingOptions) {
        $passedOn += $argument
    } elseif ($name -eq '-h' -or $name -eq '--help') {
        Write-Output $usage
        exit 0
    } elseif ($name -eq '--models-only' -or $name -eq '--no-runtime') {
        $withRuntime = $false
    } elseif ($name -eq '--server') {
        $withServer = 'yes'
    } elseif ($name -eq '--no-models') {
        $withModels = $false
    } else {
        if ($name -eq '--demo') {
            $demo = $true
            $withRuntime = $false
        } elseif ($name -eq '-q' -or $name -eq '--quiet') {
            $quiet = $true
        } elseif ($name -eq '--') {
            $readingOptions = $false
        }
        $passedOn += $argument
    }
}

# ---- the two jobs ------------------------------------------------------------------------------

# They would make another Python's packages look installed in ours.
$env:PYTHONPATH = $null
$env:PYTHONHOME = $null
# `--user` in someone's pip configuration is an error inside an environment.
$env:PIP_USER = '0'

$modelsCode = 0
$runtimeCode = 0
# finally also runs on Ctrl-C: no install may go on behind a closed command.
try {
    try {
        New-Item -ItemType Directory -Force -Path $out | Out-Null
    } catch {
        Exit-WithError 2 "cannot write to $out" 'check its rights and the free space'
    }
    Initialize-Environment
    $wanted = Read-Output $venvPython @('-I', '-S', '-c', $readWanted, $root, $venv, $withServer)
    if (-not $wanted) {
        Exit-WithError 2 'pyproject.toml or requirements.txt cannot be read' 'get a whole copy of this project'
    }
    $coreStamp, $runtimeStamp = $wanted.Trim() -split ' '
    Install-Core $coreStamp
    Write-Launcher

    $runtimeLog = Join-Path $out 'runtime-install.log'
    $runtime = $null
    if ($withRuntime -and -not (Test-Stamp 'runtime' $runtimeStamp)) {
        Assert-Pip
        Write-Word "installing the runtime libraries in the background (log: $runtimeLog)"
        $runtime = Start-Logged $venvPython ($pipOptions + @('-r', (Join-Path $root 'requirements.txt'))) $runtimeLog
    }

    if ($withModels) {
        $env:PYTHONPATH = Join-Path $root 'shared'
        # -P: a folder named like one of our libraries, where the user stands, must not win.
        & $venvPython -P -m modelset bootstrap @passedOn
        # A native program's failure does not throw; its code has to be handed on by hand.
        $modelsCode = $LASTEXITCODE
        $env:PYTHONPATH = $null
    }

    if ($runtime) {
        if (-not $runtime.HasExited) { Write-Word 'waiting for the runtime libraries' }
        if ((Wait-Logged $runtime $runtimeLog) -eq 0) {
            Write-Stamp 'runtime' $runtimeStamp
            Write-Word 'runtime libraries: installed'
        } else {
            $cause = Get-Cause $runtimeLog
            [Console]::Error.WriteLine("warning: the runtime libraries could not be installed: $($cause.Message)")
            Get-Content -LiteralPath $runtimeLog -Tail 5 | ForEach-Object { [Console]::Error.WriteLine("  | $_") }
            [Console]::Error.WriteLine("hint: $($cause.Hint)")
            $runtimeCode = 1
        }
    }
} finally {
    Stop-Install
}

if ($withModels -and ($modelsCode -eq 0 -or $modelsCode -eq 3)) {
    if ($demo) {
        Write-Word "next: $(Join-Path $root 'check-models.ps1')   what the demo has put on this machine"
        Write-Word "      $(Join-Path $root 'scripts\bootstrap.ps1')   the same with the real models"
    } else {
        Write-Word "next: $(Join-Path $root 'check-models.ps1')   what is on this machine (never uses the network)"
        Write-Word "      $(Join-Path $venv 'Scripts\modelset.cmd') env   what a shell exports so that every library finds the models"
    }
}
if ($modelsCode -ne 0) { exit $modelsCode }
exit $runtimeCode
