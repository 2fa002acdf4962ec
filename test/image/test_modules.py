#!/usr/bin/env python3
"""The modules of an image: what a list names comes with all that it needs, also with what no dependency says; and a disk that the
system can be installed to is one that the initramfs can start it from. Our lists name what k3s cannot do without."""
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

PROJECT = pathlib.Path(os.environ.get("MACULA_SOURCE_DIR", pathlib.Path(__file__).resolve().parents[2]))
KERNEL = "6.0"
TOOLS = dict(os.environ, PATH=os.environ["PATH"] + ":/usr/sbin:/sbin")

# `fail` as the stages have it.
STAGE = """
set -eu
fail() { echo "FAILED: $1: $2"; exit 1; }
cd "$work"
. "$lib"
"""


@unittest.skipUnless(all(shutil.which(tool, path=TOOLS["PATH"]) for tool in ("modprobe", "depmod", "cc")), "without kmod or a compiler")
class Modules(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="macula-modules-")
        self.addCleanup(folder.cleanup)
        self.top = pathlib.Path(folder.name)
        self.tree = self.top / "all/lib/modules" / KERNEL
        self.module("drivers/net/r8169", needs="phy", wants="pre: realtek phy-of-nobody post: later")
        self.module("drivers/net/phy/libphy", gives="phy")
        self.module("drivers/net/phy/realtek", needs="phy")
        self.module("drivers/scsi/scsi_mod", gives="scsi")
        self.module("drivers/scsi/megaraid_sas", needs="scsi")
        for path in ("drivers/net/later", "drivers/block/zram/zram", "fs/ext4", "drivers/pci/controller/vmd", "drivers/input/serio/hyperv-keyboard",
                     "drivers/hid/hid-apple"):
            self.module(path)
        for index in ("builtin", "builtin.modinfo", "order"):
            (self.tree / f"modules.{index}").write_bytes(b"kernel/net/built_in.ko\n" if index == "builtin" else b"")
        subprocess.run(["depmod", "-b", self.top / "all", KERNEL], check=True, env=TOOLS)

    def module(self, path, needs="", gives="", wants=""):
        """What is a kernel module to depmod: an object with a symbol of others, one of its own, or a soft dependency."""
        text = f'.data\n.quad {needs or 0}\n.section __ksymtab_strings,"a"\n'
        text += f'.asciz "{gives}"\n' * bool(gives) + f'.section .modinfo,"a"\n.asciz "license=GPL"\n' + f'.asciz "softdep={wants}"\n' * bool(wants)
        file = self.tree / "kernel" / f"{path}.ko"
        file.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["cc", "-c", "-x", "assembler", "-o", file, "-"], input=text, text=True, check=True)

    def sh(self, command):
        done = subprocess.run(["sh", "-c", STAGE + command], capture_output=True, text=True, check=False,
                              env={**TOOLS, "work": str(self.top), "lib": str(PROJECT / "images/lib-modules.sh"), "ARCH": "amd64"})
        self.assertEqual(done.stderr, "")
        return done.stdout

    def copied(self, *lines, to="system"):
        (self.top / "list").write_text("".join(f"{line}\n" for line in lines))
        said = self.sh(f'copy_modules list "$work/all" {to} {KERNEL}')
        return said or sorted(path.stem for path in (self.top / to).rglob("*.ko"))

    def test_a_module_comes_with_what_it_depends_on_and_with_what_it_wants_before_and_after_it(self):
        self.assertEqual(self.copied("# a comment", "r8169", "arm64: ext4"), ["later", "libphy", "r8169", "realtek"])

    def test_a_name_that_the_kernel_does_not_know_stops_the_build(self):
        self.assertIn("has no module ext5", self.copied("ext4 ext5"))
        self.assertEqual(self.copied("ext4 built_in"), ["ext4"])

    def test_a_module_without_the_one_that_it_wants_before_it_stops_the_build(self):
        self.copied("r8169")
        check = f'check_soft_dependencies "$work/all" system {KERNEL}'
        self.assertEqual(self.sh(check), "")
        next((self.top / "system").rglob("realtek.ko")).unlink()
        self.assertIn("realtek (for r8169)", self.sh(check))

    def test_a_disk_that_only_the_system_drives_stops_the_build(self):
        self.copied("ext4 megaraid_sas zram r8169")
        self.copied("ext4 scsi_mod", to="initramfs")
        self.assertIn("lacks: megaraid_sas :", self.sh("check_initramfs system initramfs"))
        self.copied("ext4 megaraid_sas", to="initramfs")
        self.assertEqual(self.sh("check_initramfs system initramfs"), "")

    def test_so_does_a_keyboard_and_a_bus_that_disks_are_behind(self):
        self.copied("ext4 vmd hyperv_keyboard hid_apple")
        self.copied("ext4", to="initramfs")
        self.assertIn("lacks: hid-apple hyperv-keyboard vmd :", self.sh("check_initramfs system initramfs"))
        self.copied("vmd hyperv_keyboard hid_apple", to="initramfs")
        self.assertEqual(self.sh("check_initramfs system initramfs"), "")


# Who asks the kernel for a module when it is too late to say that the image lacks it, and for which.
WANTED = {
    "kube-proxy, of iptables": "xt_comment xt_conntrack xt_tcpudp xt_mark xt_nat xt_MASQUERADE xt_multiport xt_addrtype xt_statistic xt_recent xt_sctp "
                               "xt_physdev ipt_REJECT ip6t_REJECT nft_compat nft_chain_nat nf_conntrack nf_conntrack_netlink br_netfilter",
    "kube-proxy, of nftables": "nf_tables nft_ct nft_nat nft_masq nft_reject_inet nft_fib_inet nft_numgen",
    "kube-proxy, of ip_vs": "ip_vs ip_vs_rr ip_vs_wrr ip_vs_sh ip_vs_lc ip_vs_wlc ip_vs_sed ip_vs_nq ip_vs_dh xt_set xt_ipvs ip_set_bitmap_port "
                            "ip_set_hash_ip ip_set_hash_ipport ip_set_hash_ipportip ip_set_hash_ipportnet",
    "network policies of k3s": "xt_set xt_limit xt_NFLOG xt_physdev ip_set ip_set_hash_ip ip_set_hash_net ip_set_hash_ipport ip_set_hash_netport "
                               "ip_set_bitmap_port ip_set_list_set nfnetlink_log",
    "flannel and plugins": "overlay veth bridge vxlan wireguard macvlan ipvlan 8021q sch_tbf sch_ingress ifb act_mirred cls_u32",
    "iptables as containers bring it": "ip_tables iptable_filter iptable_nat iptable_mangle iptable_raw "
                                       "ip6table_filter ip6table_nat ip6table_mangle ip6table_raw xt_REDIRECT xt_owner xt_LOG",
    "Intel's NVMe controllers, and Hyper-V": "vmd hyperv_keyboard hv_storvsc hv_netvsc pci_hyperv hv_utils",
}


class Lists(unittest.TestCase):
    def named(self, name):
        done = subprocess.run(["sh", "-c", STAGE + f'module_names "$lists/{name}"'], capture_output=True, text=True, check=True,
                              env={**TOOLS, "work": "/", "lib": str(PROJECT / "images/lib-modules.sh"), "lists": str(PROJECT / "images"), "ARCH": "amd64"})
        return set(done.stdout.split())

    def test_the_system_has_what_is_asked_for_by_name_while_it_runs(self):
        named = self.named("modules.list")
        for who, names in WANTED.items():
            with self.subTest(who):
                self.assertEqual(sorted(set(names.split()) - named), [])

    def test_the_initramfs_names_nothing_that_the_system_does_not_drive(self):
        self.assertEqual(self.named("modules-initramfs.list") - self.named("modules.list"), {"crc32c_generic"})


if __name__ == "__main__":
    unittest.main()
