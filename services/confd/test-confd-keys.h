/* SSH keys of each kind for tests; nobody has their private halves. */
#ifndef TEST_CONFD_KEYS_H
#define TEST_CONFD_KEYS_H

#define KEY1 "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMASiUBfZWHHnXF/np2cDXWITOJDnrZN5cS2NE8XcUmT one@test"
#define KEY2                                                                                                           \
    "ssh-rsa "                                                                                                         \
    "AAAAB3NzaC1yc2EAAAADAQABAAABAQDlN4dBJ3KwR1ehbq51oX548xvcn/"                                                       \
    "jxzBk580RfErgTUIV45mbYWG6eRgS1YufLmeBPy55L5cEuXlcONZFx/ZexgE15HcOB9f2ZiGI60/"                                     \
    "Nd1UGIOJTYUj+rR49JdYF3AnqkSTxueVkaugEDJnDCDMmYvdVknpZ61BLvLHt/7UbcBLBOy/AQy9ASr9Ki03beuXZ1DmI/"                   \
    "xaXmLMhw5M5saav0eDDcXXFCjo/4Ga7MA/"                                                                               \
    "MIIdDpDOj+qXOigX7Iy7rlfheVayb6tA3v+AcEoMLbk9hE9EsiUEhaOedrdEb2U+basySTofbGxMYRywxgQVuVua1bFSNqtgReqduszHet45eR "  \
    "two@test"
#define KEY3                                                                                                           \
    "ecdsa-sha2-nistp256 "                                                                                             \
    "AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBI4gM1hKTi9mbe2bV1dHlASaFP7l8U8VFCRy0yJWZrnHh52RyhdMpTp3rwbX" \
    "jq1IkGVd8mGQoYSjUeqGa8+vIbU="

#endif
