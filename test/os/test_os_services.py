"""Services that are not the node's follow its configuration: from the start of the system, and while it runs."""
import unittest

from os_case import OsTest

SOURCE_OF_TIME = "10.0.2.2"
# A stand-in that says how it was started, and stays; healthd has other questions to it.
K3S = "#!/bin/sh\n[ \"$1\" = server ] || exit 1\necho \"$@\" >>/run/k3s-said\nexec sleep 86399\n"


# What k3s lets iptables, ipset and ip_vs ask the kernel for while it runs, by the names that they ask with.
MODULES = ("ipt_REJECT ip6t_REJECT xt_tcpudp xt_limit xt_recent xt_NFLOG xt_physdev xt_comment xt_conntrack xt_statistic xt_MASQUERADE nft_compat "
           "ip_set_hash:ip ip_set_hash:net ip_set_hash:ip,port ip_set_hash:net,port ip_set_hash:ip,port,net ip_set_bitmap:port ip_set_list:set "
           "ip_vs_rr nf_conntrack_netlink ip_tables iptable_nat ip6table_filter sch_ingress")
# A pod with a database: in a cgroup of its own, and it needs longer to end than anybody else.
POD = ("trap \"sleep 6; echo written >/var/lib/rancher/database; exit\" TERM\n"
       "echo $$ >/sys/fs/cgroup/kubepods/pod1/one/cgroup.procs\nwhile :; do sleep 1; done\n")


class Services(OsTest):
    def test_k3s_and_chrony_follow_the_configuration_from_the_start_and_while_the_node_runs(self):
        disk = self.disk()
        machine = self.machine(disk, self.medium(more=f"  ntp_servers: [{SOURCE_OF_TIME}]\n  k3s:\n    enabled: false\n"), name="first")
        self.up(machine)
        console = machine.console
        with self.bus(machine):
            pass
        console.ok(f"printf '{K3S}' >/tmp/k3s && doas install -m 755 /tmp/k3s /usr/local/bin/k3s".replace("\n", "\\n"))
        # At the first start of all, too, chrony has read what the configuration gives it.
        console.ok(f"until doas chronyc -n sources | grep -q {SOURCE_OF_TIME}; do sleep 1; done", 120)
        for _ in range(2):
            self.switch_k3s(console, True)
            console.ok("until grep -q '^server --config ' /run/k3s-said; do sleep 1; done; doas rm /run/k3s-said", 120)
            self.switch_k3s(console, False)
            console.ok("! pgrep -f 'sleep 8639[9]'")
        self.switch_k3s(console, True)
        console.line("doas poweroff")
        self.assertEqual(machine.wait_end(), "off")
        machine = self.machine(disk, name="second")
        self.up(machine)
        machine.console.ok("until grep -q '^server --config ' /run/k3s-said; do sleep 1; done", 240)

    def test_pods_find_the_kernel_s_modules_and_shared_mounts_and_have_time_to_end(self):
        disk = self.disk()
        machine = self.machine(disk, name="first")
        self.up(machine)
        console = machine.console
        console.ok(f"doas modprobe -a {MODULES}", 120)
        console.ok("! grep -v ' shared:' /proc/self/mountinfo")
        console.ok("doas mkdir -p /sys/fs/cgroup/kubepods/pod1/one")
        console.ok(f"printf '{POD}' >/tmp/pod".replace("\n", "\\n"))
        console.ok("(doas setsid sh /tmp/pod </dev/null >/dev/null 2>&1 &)")
        console.ok("until grep -qx 'populated 1' /sys/fs/cgroup/kubepods/cgroup.events; do sleep 1; done", 60)
        console.line("doas poweroff")
        self.assertEqual(machine.wait_end(), "off")
        machine = self.machine(disk, name="second")
        self.up(machine)
        machine.console.ok("grep -qx written /var/lib/rancher/database")

    def test_what_runs_without_end_is_started_again_when_it_dies(self):
        machine = self.machine(self.disk(), self.medium(more=f"  ntp_servers: [{SOURCE_OF_TIME}]\n"))
        self.up(machine)
        console = machine.console
        with self.bus(machine):
            pass
        for name in ("syslogd", "klogd", "systemd-udevd", "dbus-daemon", "chronyd", "dropbear"):
            console.ok(f"until old=$(pgrep -o {name}); do sleep 1; done; doas kill -9 $old", 120)
            console.ok(f"until new=$(pgrep -o {name}) && [ $new != $old ]; do sleep 1; done", 60)
        # The log goes on with the new ones, the kernel's words too.
        console.ok("doas sh -c 'echo \"<4>of the test $$\" >/dev/kmsg'; logger -t test of the test")
        console.ok("until doas grep -q 'kernel.*of the test' /var/log/messages; do sleep 1; done", 60)
        console.ok("until doas grep -q ' test: of the test' /var/log/messages; do sleep 1; done", 60)
        console.ok("doas udevadm trigger --settle --action=change /sys/class/net/lo", 60)

    def test_the_layout_of_the_keyboard_follows_the_configuration_from_the_start_and_while_the_node_runs(self):
        disk = self.disk()
        machine = self.machine(disk, self.medium(more="  keyboard: de\n"), name="first")
        self.up(machine)
        self.types(machine.console, "z")
        machine.console.ok("doas maculaos config set maculaos.keyboard us", 180)
        self.types(machine.console, "y")
        said = machine.console.ok("doas maculaos config set maculaos.keyboard zz 2>&1", 180)
        self.assertIn('there is no key map "zz"', said)
        machine.console.ok("doas maculaos config set maculaos.keyboard fr", 180)
        machine.console.line("doas poweroff")
        self.assertEqual(machine.wait_end(), "off")
        machine = self.machine(disk, name="second")
        self.up(machine)
        machine.console.ok("grep -qx fr /var/lib/maculaos/keyboard")
        self.types(machine.console, "a", key=16)

    @staticmethod
    def types(console, letter, key=21):
        """What the kernel's map has for a key, without Shift; key 21 is y on an American keyboard, 16 q."""
        offset = len("bkeymap") + 256 + 2 * key
        console.ok(f"until doas dumpkmap | od -An -tx1 -j {offset} -N 1 | grep -q {ord(letter):x}; do sleep 1; done", 60)

    @staticmethod
    def switch_k3s(console, on):
        """By the configuration; it is refused when OpenRC does not do it."""
        console.ok(f"doas maculaos config set maculaos.k3s.enabled {str(on).lower()}", 180)


if __name__ == "__main__":
    unittest.main()
