"""What the figures were measured on, and what the processes under test have used."""
import os, pathlib, platform, re, resource, subprocess, time

TICK = os.sysconf('SC_CLK_TCK')


def _first(pattern, text, otherwise='unknown'):
    found = re.search(pattern, text, re.M)
    return found.group(1).strip() if found else otherwise


def _output(*command):
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=20).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return ''


def sync_us(directory, times=200):
    """Median microseconds of one 4 KB append with fdatasync on the disk of `directory`."""
    path = os.path.join(directory, 'sync')
    took = []
    fd = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
    for _ in range(times):
        began = time.perf_counter()
        os.write(fd, bytes(4096))
        os.fdatasync(fd)
        took.append(time.perf_counter() - began)
    os.close(fd)
    os.unlink(path)
    return sorted(took)[times // 2] * 1e6


def facts(directory, program):
    """The machine and the versions, as a dictionary of texts and numbers."""
    cpu = pathlib.Path('/proc/cpuinfo').read_text()
    memory = pathlib.Path('/proc/meminfo').read_text()
    return {
        'date': time.strftime('%Y-%m-%d %H:%M UTC', time.gmtime()),
        'processor': _first(r'^model name\s*:\s*(.*)$', cpu),
        'cores': os.cpu_count(),
        'memory_gb': round(int(_first(r'^MemTotal:\s*(\d+)', memory, '0')) / 1048576, 1),
        'kernel': platform.release(),
        'file_system': _output('stat', '-f', '-c', '%T', directory),
        'sync_us': round(sync_us(directory)),
        'load_before': os.getloadavg()[0],
        'posthouse': _output(program, 'version') or 'unknown',
        'postfix': _output('postconf', '-dh', 'mail_version') or 'none',
        'openssl': _output('openssl', 'version').split(' (')[0],
    }


def rss_mb(pid):
    """Resident now and at its highest, in MB."""
    status = pathlib.Path(f'/proc/{pid}/status').read_text()
    return tuple(int(_first(rf'^{key}:\s*(\d+)', status, '0')) / 1024 for key in ('VmRSS', 'VmHWM'))


def busy_s():
    """Seconds that the processors have worked since boot, for whomever; all cores added up."""
    fields = pathlib.Path('/proc/stat').read_text().split('\n', 1)[0].split()[1:]
    return sum(int(fields[i]) for i in (0, 1, 2, 5, 6)) / TICK


def own_s():
    """Seconds of processor of this process and of its children that ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in used)


def threads_s(pid):
    """Seconds of processor by thread name; threads of one name are added up."""
    used = {}
    for task in pathlib.Path(f'/proc/{pid}/task').iterdir():
        try:
            name = (task / 'comm').read_text().strip()
            seconds = int((task / 'schedstat').read_text().split()[0]) / 1e9
        except (OSError, IndexError):
            continue
        used[name] = used.get(name, 0) + seconds
    return used


def family_s(pid):
    """Seconds of processor of a process, its children, and those of its children that ended."""
    total = 0
    for stat in pathlib.Path('/proc').glob('[0-9]*/stat'):
        try:
            fields = stat.read_text().rpartition(')')[2].split()
        except OSError:
            continue
        own, parent = int(stat.parent.name), int(fields[1])
        if own == pid:
            total += sum(map(int, fields[11:15]))
        elif parent == pid:
            total += sum(map(int, fields[11:13]))
    return total / TICK
