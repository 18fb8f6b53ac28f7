#requires -Version 5.1
# Says which models are on this machine; never uses the network. Takes the options of
# `modelset check`. There is no param block, so that every argument is handed on as it is.
Set-StrictMode -Version Latest
$ErrorActionPreference = 'Stop'
# Newer versions can make a program's exit code an exception; we hand the code on.
$PSNativeCommandUseErrorActionPreference = $false

# Windows consoles and pipes are rarely UTF-8; the checker's ticks are.
# Without a console (a service) there is nothing to set.
try { [Console]::OutputEncoding = [System.Text.UTF8Encoding]::new($false) } catch { $null = $_ }
$env:PYTHONUTF8 = '1'

$root = $PSScriptRoot
# The interpreter itself: Activate.ps1 needs an execution policy that many machines forbid.
$python = Join-Path $root '.venv\Scripts\python.exe'
$before = @()

function Test-Python([string] $Program, [string[]] $Options) {
    # Windows PowerShell turns a program's stderr into an error when it is redirected.
    $ErrorActionPreference = 'Continue'
    try {
        & $Program @Options -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>$null | Out-Null
        return $LASTEXITCODE -eq 0
    } catch {
        return $false
    }
}

if (-not (Test-Path -LiteralPath $python)) {
    $python = $null
    $choices = @(@('py', '-3'), @('python3'), @('python'))
    if ($env:PYTHON) { $choices = @(, @($env:PYTHON)) }
    foreach ($choice in $choices) {
        $options = @($choice | Select-Object -Skip 1)
        if ((Get-Command $choice[0] -ErrorAction SilentlyContinue) -and (Test-Python $choice[0] $options)) {
            $python = $choice[0]
            $before = $options
            break
        }
    }
    $bootstrap = Join-Path $root 'scripts\bootstrap.ps1'
    if (-not $python) {
        [Console]::Error.WriteLine("error: no environment in $root\.venv, and no Python 3.11 or later")
        [Console]::Error.WriteLine("hint: run $bootstrap first")
        exit 2
    }
    [Console]::Error.WriteLine("hint: no environment here yet, using $python; $bootstrap makes one")
}

& $python @before (Join-Path $root 'shared\model_checker.py') @args
# A native program's failure does not throw; its code has to be handed on by hand.
exit $LASTEXITCODE
