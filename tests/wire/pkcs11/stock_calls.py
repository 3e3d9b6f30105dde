"""The calls of p11-kit's protocol as p11-kit itself has them: number, name, request, answer.

Facts of p11-kit 0.26.4 (the table of calls in its rpc-message.h); up to 65 they are those of
0.24.1, up to 88 those of 0.25.
"""

STOCK = """
1 Initialize ayyay -
2 Finalize - -
3 GetInfo - vsusv
4 GetSlotList yfu au
5 GetSlotInfo u ssuvv
6 GetTokenInfo u ssssuuuuuuuuuuuvvs
7 GetMechanismList ufu au
8 GetMechanismInfo uu uuu
9 InitToken uayz -
10 OpenSession uu u
11 CloseSession u -
12 CloseAllSessions u -
13 GetSessionInfo u uuuu
14 InitPIN uay -
15 SetPIN uayay -
16 GetOperationState ufy ay
17 SetOperationState uayuu -
18 Login uuay -
19 Logout u -
20 CreateObject uaA u
21 CopyObject uuaA u
22 DestroyObject uu -
23 GetObjectSize uu u
24 GetAttributeValue uufA aAu
25 SetAttributeValue uuaA -
26 FindObjectsInit uaA -
27 FindObjects ufu au
28 FindObjectsFinal u -
29 EncryptInit uMu -
30 Encrypt uayfy ay
31 EncryptUpdate uayfy ay
32 EncryptFinal ufy ay
33 DecryptInit uMu -
34 Decrypt uayfy ay
35 DecryptUpdate uayfy ay
36 DecryptFinal ufy ay
37 DigestInit uM -
38 Digest uayfy ay
39 DigestUpdate uay -
40 DigestKey uu -
41 DigestFinal ufy ay
42 SignInit uMu -
43 Sign uayfy ay
44 SignUpdate uay -
45 SignFinal ufy ay
46 SignRecoverInit uMu -
47 SignRecover uayfy ay
48 VerifyInit uMu -
49 Verify uayay -
50 VerifyUpdate uay -
51 VerifyFinal uay -
52 VerifyRecoverInit uMu -
53 VerifyRecover uayfy ay
54 DigestEncryptUpdate uayfy ay
55 DecryptDigestUpdate uayfy ay
56 SignEncryptUpdate uayfy ay
57 DecryptVerifyUpdate uayfy ay
58 GenerateKey uMaA u
59 GenerateKeyPair uMaAaA uu
60 WrapKey uMuufy ay
61 UnwrapKey uMuayaA u
62 DeriveKey uMuaA u
63 SeedRandom uay -
64 GenerateRandom ufy ay
65 WaitForSlotEvent u u
66 LoginUser uuayay -
67 SessionCancel uu -
68 MessageEncryptInit uMu -
69 EncryptMessage uayayayfy ay
70 EncryptMessageBegin uayay -
71 EncryptMessageNext uayayfyu ay
72 MessageEncryptFinal u -
73 MessageDecryptInit uMu -
74 DecryptMessage uayayayfy ay
75 DecryptMessageBegin uayay -
76 DecryptMessageNext uayayfyu ay
77 MessageDecryptFinal u -
78 MessageSignInit uMu -
79 SignMessage uayayfy ay
80 SignMessageBegin uay -
81 SignMessageNext uayayyfy ay
82 MessageSignFinal u -
83 MessageVerifyInit uMu -
84 VerifyMessage uayayay -
85 VerifyMessageBegin uay -
86 VerifyMessageNext uayayay -
87 MessageVerifyFinal u -
88 InitToken2 uays -
89 DeriveKey2 uMuaA uPu
"""


def rows() -> list[tuple[int, str, str, str]]:
    found = []
    for line in STOCK.strip().splitlines():
        number, name, request, answer = line.split()
        found.append((int(number), name, request.strip("-"), answer.strip("-")))
    return found
