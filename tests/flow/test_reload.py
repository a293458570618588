"""SIGHUP: what can change without a restart does, a mistake changes nothing, and sessions go on."""
import os
import signal
import smtplib

from rig import Service


def announced_size(service):
    with smtplib.SMTP("127.0.0.1", service.port) as client:
        client.ehlo("test.example")
        return int(client.esmtp_features["size"])


def write(path, **settings):
    with open(path, "w") as f:
        for key, value in settings.items():
            f.write("%s = %s\n" % (key.replace("_", "-"), value))


def hup(service, says):
    os.kill(service.child.pid, signal.SIGHUP)
    service.child.wait_for(says)


def test_sighup_reads_the_configuration_again(place):
    conf = os.path.join(place, "posthouse.conf")
    write(conf, max_message_size="1M")
    with Service(place, "--config", conf) as service:
        assert announced_size(service) == 1 << 20
        with smtplib.SMTP("127.0.0.1", service.port) as before:
            before.ehlo("test.example")
            write(conf, max_message_size="2M", loops="7")
            hup(service, "the configuration was read again")
            assert "loops has changed and takes effect with the next start" in service.child.said()
            assert announced_size(service) == 2 << 20
            assert before.noop()[0] == 250
        write(conf, max_mesage_size="3M")
        hup(service, "did you mean 'max-message-size'")
        assert announced_size(service) == 2 << 20
