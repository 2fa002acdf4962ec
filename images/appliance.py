#!/usr/bin/env python3
"""appliance.py DISK.vmdk DISK.img NAME EPOCH OUT.ova: an OVF description, its manifest and the disk, as a tar."""
import hashlib
import io
import os
import sys
import tarfile

OVF = """<?xml version="1.0" encoding="UTF-8"?>
<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1"
 xmlns:rasd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData"
 xmlns:vssd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_VirtualSystemSettingData">
 <References><File ovf:id="disk" ovf:href="{name}.vmdk" ovf:size="{vmdk_size}"/></References>
 <DiskSection><Info>Disks</Info><Disk ovf:diskId="disk" ovf:fileRef="disk" ovf:capacity="{capacity}"
  ovf:format="http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized"/></DiskSection>
 <NetworkSection><Info>Networks</Info><Network ovf:name="bridged"><Description>The node's network</Description></Network></NetworkSection>
 <VirtualSystem ovf:id="{name}"><Info>A MaculaOS node</Info><Name>{name}</Name>
  <OperatingSystemSection ovf:id="96"><Info>Linux, 64 bits</Info></OperatingSystemSection>
  <VirtualHardwareSection><Info>Hardware</Info>
   <System><vssd:ElementName>Hardware</vssd:ElementName><vssd:InstanceID>0</vssd:InstanceID>
    <vssd:VirtualSystemIdentifier>{name}</vssd:VirtualSystemIdentifier><vssd:VirtualSystemType>vmx-11</vssd:VirtualSystemType></System>
   <Item><rasd:ElementName>2 processors</rasd:ElementName><rasd:InstanceID>1</rasd:InstanceID>
    <rasd:ResourceType>3</rasd:ResourceType><rasd:VirtualQuantity>2</rasd:VirtualQuantity></Item>
   <Item><rasd:AllocationUnits>byte * 2^20</rasd:AllocationUnits><rasd:ElementName>1024 MiB</rasd:ElementName>
    <rasd:InstanceID>2</rasd:InstanceID><rasd:ResourceType>4</rasd:ResourceType><rasd:VirtualQuantity>1024</rasd:VirtualQuantity></Item>
   <Item><rasd:ElementName>SATA</rasd:ElementName><rasd:InstanceID>3</rasd:InstanceID>
    <rasd:ResourceSubType>AHCI</rasd:ResourceSubType><rasd:ResourceType>20</rasd:ResourceType></Item>
   <Item><rasd:AddressOnParent>0</rasd:AddressOnParent><rasd:ElementName>disk</rasd:ElementName>
    <rasd:HostResource>ovf:/disk/disk</rasd:HostResource><rasd:InstanceID>4</rasd:InstanceID><rasd:Parent>3</rasd:Parent>
    <rasd:ResourceType>17</rasd:ResourceType></Item>
   <Item><rasd:AutomaticAllocation>true</rasd:AutomaticAllocation><rasd:Connection>bridged</rasd:Connection>
    <rasd:ElementName>network</rasd:ElementName><rasd:InstanceID>5</rasd:InstanceID><rasd:ResourceSubType>E1000</rasd:ResourceSubType>
    <rasd:ResourceType>10</rasd:ResourceType></Item>
  </VirtualHardwareSection></VirtualSystem>
</Envelope>
"""


def fix_content_id(vmdk):
    """qemu-img gives every image a random content id; here it follows from the contents."""
    with open(vmdk, "r+b") as file:
        data = bytearray(file.read())
        at = data.index(b"CID=") + 4
        end = data.index(b"\n", at)
        data[at:end] = b"0" * (end - at)
        value = int(hashlib.sha256(data).hexdigest()[:8], 16) % 0xFFFFFFFE
        data[at:end] = f"{value:0{end - at}x}".encode()
        file.seek(0)
        file.write(data)


def add(archive, name, data, epoch):
    entry = tarfile.TarInfo(name)
    entry.size, entry.mtime, entry.mode = len(data), epoch, 0o644
    archive.addfile(entry, io.BytesIO(data))


def main():
    vmdk, disk, name, epoch, out = sys.argv[1:6]
    fix_content_id(vmdk)
    with open(vmdk, "rb") as file:
        image = file.read()
    ovf = OVF.format(name=name, vmdk_size=len(image), capacity=os.path.getsize(disk)).encode()
    manifest = "".join(f"SHA256({part})= {hashlib.sha256(data).hexdigest()}\n"
                       for part, data in ((f"{name}.ovf", ovf), (f"{name}.vmdk", image))).encode()
    with tarfile.open(out, "w", format=tarfile.USTAR_FORMAT) as archive:
        for part, data in ((f"{name}.ovf", ovf), (f"{name}.mf", manifest), (f"{name}.vmdk", image)):
            add(archive, part, data, int(epoch))


if __name__ == "__main__":
    main()
