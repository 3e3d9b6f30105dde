#!/bin/sh
# Makes the vectors of this folder again, with the ssh-keygen and openssl that are installed.
# Usage: generate.sh NEW_FOLDER. The keys are for tests alone: their passphrase is below.
set -eu

folder=$1
passphrase=keyholm-test
sk_dummy=${SK_DUMMY:-/usr/lib/openssh/regress/misc/sk-dummy/sk-dummy.so}

mkdir "$folder"
cd "$folder"
keygen() { ssh-keygen -q "$@"; }

keygen -t ed25519 -N '' -C 'ed25519 vector' -f ed25519
keygen -t ecdsa -b 256 -N '' -C 'ecdsa 256 vector' -f ecdsa256
keygen -t ecdsa -b 384 -N '' -C 'ecdsa 384 vector' -f ecdsa384
keygen -t ecdsa -b 521 -N '' -C 'ecdsa 521 vector' -f ecdsa521
keygen -t rsa -b 2048 -N '' -C 'rsa vector' -f rsa
keygen -t dsa -N '' -C 'dsa vector' -f dsa
keygen -t ed25519-sk -w "$sk_dummy" -N '' -C 'ed25519-sk vector' -f ed25519_sk
keygen -t ecdsa-sk -w "$sk_dummy" -N '' -C 'ecdsa-sk vector' -f ecdsa_sk
keygen -t ed25519 -N '' -C 'a CA' -f ca

# The same key under every cipher; one round, since the hashing is slow on purpose.
for cipher in aes128-ctr aes192-ctr aes256-ctr aes128-cbc aes256-cbc \
        aes128-gcm@openssh.com aes256-gcm@openssh.com chacha20-poly1305@openssh.com; do
    file=encrypted_${cipher%@*}
    cp ed25519 "$file"
    chmod 600 "$file"
    keygen -p -P '' -N "$passphrase" -a 1 -Z "$cipher" -f "$file" >/dev/null
done

# PEM: PKCS#1, SEC 1 and PKCS#8, plain and encrypted.
for name in rsa ecdsa256 ecdsa521 dsa; do
    cp "$name" "$name.pem"
    keygen -p -P '' -N '' -m PEM -f "$name.pem" >/dev/null
    cp "$name" "$name.pem_encrypted"
    keygen -p -P '' -N "$passphrase" -m PEM -f "$name.pem_encrypted" >/dev/null
done
for name in rsa ecdsa256; do
    cp "$name" "$name.pkcs8"
    keygen -p -P '' -N '' -m PKCS8 -f "$name.pkcs8" >/dev/null
    cp "$name" "$name.pkcs8_encrypted"
    keygen -p -P '' -N "$passphrase" -m PKCS8 -f "$name.pkcs8_encrypted" >/dev/null
done
openssl genpkey -algorithm ed25519 -out openssl_ed25519.pkcs8
openssl pkcs8 -topk8 -in openssl_ed25519.pkcs8 -scrypt -passout "pass:$passphrase" \
    -out openssl_ed25519.pkcs8_scrypt
openssl ecparam -name prime256v1 -genkey -out openssl_ec_with_parameters.pem

# Certificates: of a user with every option, of a host, of each kind of key.
keygen -s ca -I 'user certificate' -n alice,bob -z 42 -V 20240101000000Z:20340101000000Z \
    -O force-command=/bin/true -O source-address=192.0.2.0/24,2001:db8::/32 -O no-pty \
    -O critical:known-nowhere@example.com=data -O extension:flag@example.com ed25519.pub
keygen -s ca -h -I 'host certificate' -n host.example.com -z 18446744073709551615 ecdsa256.pub
keygen -s ecdsa384 -I 'from an ecdsa CA' -n alice ecdsa521.pub
keygen -s rsa -t rsa-sha2-512 -I 'from an rsa CA' -n alice rsa.pub
keygen -s ca -I 'security key' -n alice ed25519_sk.pub
keygen -s ca -I 'security key' -n alice ecdsa_sk.pub
keygen -s ca -I 'dsa' -n alice dsa.pub

printf 'The quick brown fox jumps over the lazy dog.' >message
for name in ed25519 ecdsa256 ecdsa384 ecdsa521 rsa; do
    ssh-keygen -q -Y sign -f "$name" -n file <message >"$name.sshsig"
done
ssh-keygen -q -Y sign -O hashalg=sha256 -f ed25519 -n git <message >ed25519_sha256.sshsig
for name in ed25519_sk ecdsa_sk; do
    SSH_SK_PROVIDER=$sk_dummy ssh-keygen -q -Y sign -f "$name" -n file <message >"$name.sshsig"
done

# What ssh-keygen says of them, to be said by us as well.
for file in *.pub; do
    case $file in *-cert.pub) continue ;; esac
    ssh-keygen -l -E sha256 -f "$file"
    ssh-keygen -l -E md5 -f "$file"
done >fingerprints
for name in ed25519 ecdsa256 ecdsa384 ecdsa521 rsa dsa; do
    ssh-keygen -e -m PKCS8 -f "$name.pub" >"$name.spki" 2>/dev/null || rm "$name.spki"
done
openssl pkey -in openssl_ed25519.pkcs8 -pubout -out openssl_ed25519.spki
