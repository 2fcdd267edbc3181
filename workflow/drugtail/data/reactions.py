"""The chemistry of the embedded data set ``demo``: building blocks and reaction templates.

Tables only; `drugtail.data.generate` applies them. Blocks are SMILES and templates reaction SMARTS
of common steps in medicinal chemistry.
"""

from collections.abc import Mapping
from typing import NamedTuple

# Building blocks, grouped by the handle they are mostly used for. Many carry a second, latent
# group (nitro, ester, nitrile, Boc ...): those become the reactants of the one-component classes.
BUILDING_BLOCKS: dict[str, str] = {
    "primary amines": """
        NCc1ccccc1 NCc1ccc(F)cc1 NCc1ccc(OC)cc1 NCc1cccc(Cl)c1 NCc1ccccn1 NCc1cccnc1 NCc1ccco1
        NCc1cccs1 NC1CCCCC1 NC1CC1 NCC1CC1 NCCc1ccccc1 NCCc1c[nH]c2ccccc12 NCC(C)C NCCCC NCCOC
        NC1CCOCC1 NCCCN1CCOCC1 N[C@@H](C)c1ccccc1 NCCn1cncn1 NCCSC NCCSc1ccccc1 NCCO NCCCO
        NCC(O)c1ccccc1 NC1CCC(O)CC1 NCCO[Si](C)(C)C(C)(C)C NCC(=O)OC N[C@@H](C)C(=O)OC
        N[C@@H](Cc1ccccc1)C(=O)OC N[C@@H](C(C)C)C(=O)OC NCCC(=O)OCC NCc1ccc(C(=O)OC)cc1
        NCC(=O)OC(C)(C)C NCCNC(=O)OC(C)(C)C NC1CCN(C(=O)OC(C)(C)C)CC1 NCC1CCN(C(=O)OC(C)(C)C)CC1
        NCc1ccc([N+](=O)[O-])cc1 NCc1ccc(C#N)cc1 NCc1ccc(Br)cc1 NCCc1ccc(OC)c(OC)c1
        NCc1ccc(-n2cccn2)cc1 NCc1nc(-c2ccccc2)cs1 NCC(=O)N1CCCC1 NC/C=C/c1ccccc1 NCCCC=C NCCN
        NCCCN NCc1ccc(CN)cc1 NCc1ccc(B(O)O)cc1""",
    "anilines": """
        Nc1ccccc1 Nc1ccc(C)cc1 Nc1ccc(F)cc1 Nc1cccc(Cl)c1 Nc1ccc(OC)cc1 Nc1cccc(C(F)(F)F)c1
        Nc1ccc(C)cc1C Nc1cccnc1 Nc1ccc(C(C)C)cc1 Nc1ccc(N2CCOCC2)cc1 Nc1ccc(SC)cc1
        Nc1cccc(C(C)=O)c1 Nc1ccc(C#N)cc1 Nc1cccc([N+](=O)[O-])c1 Nc1ccc(C(=O)OC)cc1
        Nc1cccc(C(=O)OCC)c1 Nc1ccc(Br)cc1 Nc1cccc(Br)c1 Nc1ccc(O)cc1 Nc1cccc(CO)c1
        Nc1ccc(OCc2ccccc2)cc1 Nc1ccc(CNC(=O)OC(C)(C)C)cc1 Nc1ccccc1C Nc1ccccn1 Nc1ccc(Cl)cn1
        Nc1ccc(-c2nnc(C)o2)cc1 Nc1ccc2nc(C)[nH]c2c1 Nc1ccc(NC(C)=O)cc1 Nc1ccc(N)cc1
        Nc1ccc(C(=O)O)cc1""",
    "secondary amines": """
        C1COCCN1 C1CCNCC1 C1CCNC1 CN1CCNCC1 C1CN(c2ccccc2)CCN1 C1CN(c2ccc(F)cc2)CCN1
        C1CN(C(=O)OC(C)(C)C)CCN1 CCOC(=O)C1CCNCC1 OC1CCNCC1 OCC1CCNCC1 C1NCCc2ccccc12
        CNCc1ccccc1 C1CSCCN1 N#CC1CCNCC1 C1Cc2ccccc2N1 COC(=O)[C@@H]1CCCN1 C1CNC1
        C1CC(Cc2ccccc2)CCN1 CC(C)(C)OC(=O)NC1CCNCC1 CC(C)(C)OC(=O)NC1CCNC1 C1CN(Cc2ccccc2)CCN1
        O=C(OCc1ccccc1)N1CCNCC1 FC(F)(F)C1CCNCC1 CC(=O)N1CCNCC1 NC(=O)C1CCNCC1
        C1CN(c2ccccn2)CCN1 CS(=O)(=O)N1CCNCC1 CNCCO C1CNCCN1""",
    "carboxylic acids": """
        OC(=O)c1ccccc1 OC(=O)c1ccc(F)cc1 OC(=O)c1cccc(Cl)c1 OC(=O)c1ccc(OC)cc1
        OC(=O)c1ccc(C(C)(C)C)cc1 OC(=O)c1cccnc1 OC(=O)c1ccncc1 OC(=O)c1ccccn1 OC(=O)c1ccco1
        OC(=O)c1cccs1 OC(=O)C1CCCCC1 OC(=O)C1CC1 OC(=O)Cc1ccccc1 OC(=O)CCc1ccccc1
        OC(=O)c1cc2ccccc2[nH]1 OC(=O)c1cnn(C)c1 OC(=O)c1ccc2ccccc2c1 OC(=O)C(C)(C)C
        OC(=O)c1ccc(-c2ccccc2)cc1 OC(=O)c1c(C)noc1C OC(=O)c1cscn1 OC(=O)c1ccc2ccccc2n1
        OC(=O)c1ccc(C(F)(F)F)cc1 OC(=O)c1ccc(Oc2ccccc2)cc1 OC(=O)c1ccc(C)cc1
        OC(=O)c1ccc(CN2CCOCC2)cc1 OC(=O)c1ccc([N+](=O)[O-])cc1 OC(=O)c1cccc([N+](=O)[O-])c1
        OC(=O)c1ccc(C#N)cc1 OC(=O)c1ccc(Br)cc1 OC(=O)c1cccc(Br)c1 OC(=O)c1cncc(Br)c1
        OC(=O)c1ccc(C(=O)OC)cc1 OC(=O)c1cccc(C(=O)OC)c1 OC(=O)c1ccc(C(C)=O)cc1
        OC(=O)CCC(=O)c1ccccc1 OC(=O)c1ccc(CO)cc1 OC(=O)c1ccc(OCc2ccccc2)cc1
        OC(=O)c1cccc(OCc2ccccc2)c1 OC(=O)c1ccc(SC)cc1 OC(=O)CNC(=O)OC(C)(C)C
        OC(=O)[C@H](Cc1ccccc1)NC(=O)OC(C)(C)C OC(=O)C1CCN(C(=O)OC(C)(C)C)CC1
        OC(=O)c1ccc(NC(=O)OC(C)(C)C)cc1 OC(=O)c1ccc(O)cc1 OC(=O)c1ccc(C=O)cc1 OC(=O)c1ccc(Cl)nc1
        OC(=O)c1ccc(F)c([N+](=O)[O-])c1 OC(=O)CCC(=O)OC OC(=O)CSc1ccccc1
        OC(=O)c1ccc(N=[N+]=[N-])cc1 OC(=O)c1ccc(C#C)cc1 OC(=O)c1nc(-c2ccccc2)cs1
        OC(=O)c1cn(Cc2ccccc2)nn1 OC(=O)c1ccc(-n2ccnc2)cc1 OC(=O)CC1CCCN1C(=O)OCc1ccccc1
        OC(=O)/C=C/c1ccccc1 OC(=O)c1ccc(C=C)cc1 OC(=O)CCC=C""",
    "aldehydes and ketones": """
        O=Cc1ccccc1 O=Cc1ccc(F)cc1 O=Cc1ccc(OC)cc1 O=Cc1cccc(Cl)c1 O=Cc1ccco1 O=Cc1cccnc1
        O=Cc1cccs1 O=Cc1cn(C)c2ccccc12 O=Cc1ccc(Br)cc1 O=Cc1cccc(Br)c1 O=Cc1ccc([N+](=O)[O-])cc1
        O=Cc1ccc(C#N)cc1 O=Cc1ccc(C(=O)OC)cc1 O=Cc1ccc(OCc2ccccc2)cc1 O=Cc1ccc(SC)cc1
        O=Cc1ccc(O)cc1 O=CC(C)C O=CCCc1ccccc1 O=C1CCCCC1 O=C1CCN(C(=O)OC(C)(C)C)CC1 O=C1CCOCC1
        O=C1CCCC1 O=C1CCC(c2ccccc2)CC1 O=C1CCC(C(=O)OCC)CC1 O=C1CCN(Cc2ccccc2)CC1 CC(=O)c1ccccc1
        CC(=O)c1ccc(F)cc1 CC(=O)c1ccc(OC)cc1""",
    "aryl bromides": """
        Brc1ccccc1 Brc1ccc(OC)cc1 Brc1ccc(C)cc1 Brc1cccnc1 Brc1cncnc1 Brc1ccc(F)cc1 Brc1cccs1
        Brc1ccc2ncccc2c1 Brc1ccc2c(cnn2C)c1 Brc1ccc(C(F)(F)F)cc1 Brc1ccc(C#N)cc1 Brc1cccc(C#N)c1
        Brc1ccc(C(=O)OC)cc1 Brc1cccc(C(=O)OC)c1 Brc1ccc(C(C)=O)cc1 Brc1ccc([N+](=O)[O-])cc1
        Brc1cccc([N+](=O)[O-])c1 Brc1ccc(CO)cc1 Brc1ccc(O)cc1 Brc1ccc(SC)cc1
        Brc1ccc(OCc2ccccc2)cc1 Brc1ccc(CNC(=O)OC(C)(C)C)cc1 Brc1ccc(C(C)O)cc1 Brc1ccc2[nH]ccc2c1
        Brc1ccc(N(C)C)cc1 Brc1ccc(C(=O)N2CCOCC2)cc1 Brc1ccc(NC(C)=O)cc1 Brc1ccc(S(C)(=O)=O)cc1
        Brc1ccc(-n2cccn2)cc1""",
    "activated aryl halides": """
        Clc1ncccn1 Clc1ccc([N+](=O)[O-])cn1 Fc1ccc([N+](=O)[O-])cc1 Fc1ccc(C#N)cc1 Clc1cnccn1
        Clc1ncnc2ccccc12 Clc1nc2ccccc2s1 Clc1ccc(C(F)(F)F)cn1 Clc1ccc(C(=O)OC)cn1
        Fc1ccccc1[N+](=O)[O-] Clc1ncnc2ccsc12 Clc1ccc2ccccc2n1 Clc1ccc(C)nn1 Fc1ccccc1C#N
        Clc1ncc(Br)cn1 Clc1ccc(C#N)cn1""",
    "boronic acids": """
        OB(O)c1ccccc1 OB(O)c1ccc(F)cc1 OB(O)c1ccc(OC)cc1 OB(O)c1cccc(Cl)c1 OB(O)c1ccc(C)cc1
        OB(O)c1cccnc1 OB(O)c1ccsc1 OB(O)c1ccoc1 OB(O)c1cnn(C)c1 OB(O)c1ccc(C(F)(F)F)cc1
        OB(O)c1ccc(C#N)cc1 OB(O)c1cccc([N+](=O)[O-])c1 OB(O)c1ccc(C(=O)OC)cc1
        OB(O)c1ccc(C(C)=O)cc1 OB(O)c1ccc(CO)cc1 OB(O)c1ccc(C(=O)O)cc1 OB(O)c1cccc(N)c1
        OB(O)c1ccc(CNC(=O)OC(C)(C)C)cc1 OB(O)c1ccc(SC)cc1 OB(O)c1ccc(OCc2ccccc2)cc1
        OB(O)c1ccc(O)cc1 OB(O)c1ccc(C=O)cc1 OB(O)c1cc2ccccc2s1 OB(O)c1ccc2[nH]ccc2c1
        OB(O)c1cccc(N(C)C)c1 OB(O)c1ccc(N2CCOCC2)cc1 OB(O)c1ccc2ccccc2c1 OB(O)c1ccc2c(c1)OCO2
        OB(O)c1ccc(C(=O)N(C)C)cc1 OB(O)c1ccc(CN2CCCC2)cc1 OB(O)c1cccc(NS(C)(=O)=O)c1""",
    "alkynes": """
        C#Cc1ccccc1 C#Cc1ccc(C)cc1 C#CCOc1ccccc1 C#CCO C#CCCO C#Cc1cccnc1 C#CC1CC1
        C#CCNC(=O)OC(C)(C)C C#Cc1ccc(OC)cc1 C#Cc1ccc(C(=O)OC)cc1 C#CCCCC C#CC(C)(C)O
        C#CCNC(=O)c1ccccc1 C#Cc1cccc(N)c1""",
    "alkenes": """
        C=CC(=O)OC C=CC(=O)OC(C)(C)C C=Cc1ccccc1 C=Cc1ccc(C)cc1 C=CC#N C=CC(=O)N(C)C C=Cc1ccncc1
        C=CC(=O)OCC C=CC(=O)N1CCOCC1""",
    "alkyl halides": """
        BrCc1ccccc1 BrCc1ccc(F)cc1 BrCc1ccc(C#N)cc1 BrCc1ccc([N+](=O)[O-])cc1
        BrCc1ccc(C(=O)OC)cc1 BrCC(=O)OCC BrCc1cccc(OC)c1 BrCC1CC1 BrCCOC ClCc1ccncc1 BrCC(C)C
        BrCC(=O)OC(C)(C)C ClCCN1CCOCC1 BrCCCc1ccccc1 BrCCO[Si](C)(C)C(C)(C)C BrCCNC(=O)OC(C)(C)C
        ClCc1cscn1 BrCc1cccc(Br)c1 ClCC(=O)Nc1ccccc1 BrCCCCO BrC/C=C/c1ccccc1""",
    "phenols and alcohols": """
        Oc1ccccc1 Oc1ccc(F)cc1 Oc1ccc(OC)cc1 Oc1cccc(C(F)(F)F)c1 Oc1ccc(C(C)(C)C)cc1
        Oc1ccc2ccccc2c1 Oc1cccnc1 Oc1ccc(C#N)cc1 Oc1ccc(C(=O)OC)cc1 Oc1cccc(C(=O)OC)c1
        Oc1ccc([N+](=O)[O-])cc1 Oc1ccc(C(C)=O)cc1 Oc1ccc(SC)cc1 Oc1ccc(OCc2ccccc2)cc1
        Oc1ccc(CCNC(=O)OC(C)(C)C)cc1 Oc1ccc2c(c1)OCO2 Oc1cccc2cccnc12 OCc1ccccc1 OC1CCCCC1
        OCCc1ccccc1 OC1CCN(C(=O)OC(C)(C)C)CC1 OCc1cccnc1 OCC(C)C OC1CCOCC1 OC1Cc2ccccc2C1""",
    "sulfonyl chlorides": """
        ClS(=O)(=O)c1ccccc1 ClS(=O)(=O)c1ccc(C)cc1 ClS(=O)(=O)c1ccc(F)cc1
        ClS(=O)(=O)c1ccc(OC)cc1 ClS(=O)(=O)c1cccc(C(F)(F)F)c1 ClS(=O)(=O)C ClS(=O)(=O)c1cccs1
        ClS(=O)(=O)c1ccc(C#N)cc1 ClS(=O)(=O)c1cccc([N+](=O)[O-])c1
        ClS(=O)(=O)c1ccc([N+](=O)[O-])cc1 ClS(=O)(=O)c1ccc(Br)cc1 ClS(=O)(=O)C1CC1
        ClS(=O)(=O)c1cccc2cccnc12 ClS(=O)(=O)c1c(C)noc1C ClS(=O)(=O)c1ccc(C(C)=O)cc1
        ClS(=O)(=O)c1cccc(C(=O)OC)c1""",
    "isocyanates": """
        O=C=Nc1ccccc1 O=C=Nc1ccc(F)cc1 O=C=Nc1ccc(Cl)cc1 O=C=Nc1cccc(C(F)(F)F)c1
        O=C=Nc1ccc(OC)cc1 O=C=NC1CCCCC1 O=C=NCc1ccccc1 O=C=NCC(=O)OCC O=C=NC(C)C
        O=C=Nc1ccc(C#N)cc1 O=C=Nc1ccc(C(C)=O)cc1 O=C=Nc1cccc([N+](=O)[O-])c1
        O=C=Nc1ccc(C(=O)OC)cc1""",
    "ring-forming blocks": """
        [N-]=[N+]=NCc1ccccc1 [N-]=[N+]=Nc1ccccc1 [N-]=[N+]=NCc1ccc(F)cc1 [N-]=[N+]=Nc1ccc(OC)cc1
        [N-]=[N+]=NCC(=O)OCC [N-]=[N+]=NCCc1ccccc1 [N-]=[N+]=NCCO [N-]=[N+]=NCCCN Nc1ccccc1N
        Nc1cc(C)c(C)cc1N Nc1cc(Cl)c(Cl)cc1N CNc1ccccc1N Nc1ccccc1Nc1ccccc1 CNc1ccc(C(=O)OC)cc1N
        NC(=S)c1ccccc1 NC(=S)c1ccc(OC)cc1 NC(=S)c1ccncc1 CC(N)=S NC(=S)Nc1ccccc1
        NC(=S)c1ccc(Br)cc1 NC(=S)c1ccc(O)cc1 BrCC(=O)c1ccc(Br)cc1 NC(=NO)c1ccc(Br)cc1
        NNC(=O)c1ccc(Br)cc1 NNC(=O)c1ccc(O)cc1 NNc1ccc(Br)cc1 CNc1ccc(Br)cc1N Nc1ccc(Br)cn1
        Nc1ccc(C(=O)O)cn1 BrCC(=O)c1ccccc1 BrCC(=O)c1ccc(F)cc1 BrCC(=O)c1ccc(OC)cc1
        BrCC(=O)c1ccc([N+](=O)[O-])cc1 BrCC(=O)c1ccc(Cl)cc1 BrCC(=O)C(C)(C)C NC(=NO)c1ccccc1
        NC(=NO)c1ccc(F)cc1 NC(=NO)c1cccnc1 CC(N)=NO NNC(=O)c1ccccc1 NNC(=O)c1ccc(Cl)cc1
        NNC(=O)c1ccncc1 NNC(=O)Cc1ccccc1 NNc1ccccc1 NNc1ccc(F)cc1 NNc1ccc(C(=O)OC)cc1
        CC(=O)CC(C)=O""",
    "azoles": "c1ccc2[nH]ccc2c1 c1cn[nH]c1 c1c[nH]cn1 COC(=O)c1cc2ccccc2[nH]1 N#Cc1ccc2[nH]ccc2c1",
}

# Patterns shared by several templates; an atom pattern is the inside of a SMARTS bracket.
_ALKYL_AMINE = "NX3;H1,H2;!$(N[!#6]);!$(N[#6]=*);!$(Nc)"
_AMINE = "NX3;H1,H2;!$(N[!#6]);!$(N[#6]=*);!$(N(c)c)"
_ALCOHOL = "OX2H1;$(O[CX4])"
_PHENOL = "OX2H1;$(Oc)"
_ALDEHYDE = "CX3H1;$(C(=O)[#6])"
_KETONE = "CX3H0;$(C([#6])([#6])=O);!$(C(=O)C[Cl,Br]);!$(C(=O)CC=O)"
_ALKYL_KETONE = "CX3H0;$(C([CX4])([CX4])=O);!$(C(=O)C[Cl,Br]);!$(C(=O)CC=O)"
_ACYL = "CX3;$(C[#6])"
_ACTIVATED = (
    "c;$(c:[nX2]),$(c:c[$([N+](=O)[O-]),$(C#N)]),$(c:c:c:c[$([N+](=O)[O-]),$(C#N)])"  # for SNAr
)
_PARA_TO_DONOR = "cH1;$(c1:c:c:c([$([OX2]([#6])c),$([NX3](c)[#6]);!$(*C=O);!$(*S)]):c:c1)"
_SMALL_ALKYL = "$([CH3]),$([CH2][CH3])"
_TERT_BUTYL = "$(C([CH3])([CH3])[CH3])"
_BENZYL = "$([CH2]-c1[cH][cH][cH][cH][cH]1)"
_TBS = "$([Si]([CH3])([CH3])C([CH3])([CH3])[CH3])"


class Template(NamedTuple):
    """A named reaction template: one or two reactants, one product."""

    name: str
    reaction_class: str
    smarts: str


def _templates(reaction_class: str, smarts_by_name: Mapping[str, str]) -> tuple[Template, ...]:
    return tuple(Template(name, reaction_class, text) for name, text in smarts_by_name.items())


TEMPLATES: tuple[Template, ...] = (
    *_templates(
        "heteroatom alkylation and arylation",
        {
            "reductive amination": (
                f"[{_ALKYL_AMINE}:1].[$([{_ALDEHYDE}]),$([{_ALKYL_KETONE}]):2]=O>>[N:1][C:2]"
            ),
            "SNAr amination": f"[{_ALKYL_AMINE}:1].[{_ACTIVATED}:2][F,Cl]>>[N:1][c:2]",
            "Buchwald-Hartwig amination": f"[{_AMINE}:1].[c:2][Br,I]>>[N:1][c:2]",
            "Williamson ether synthesis": f"[{_PHENOL}:1].[CX4H2:2][Cl,Br]>>[O:1][C:2]",
            "amine alkylation": "[NX3H1;$(N([CX4])[CX4]):1].[CX4H2:2][Cl,Br]>>[N:1][C:2]",
            "azole alkylation": "[nH1:1].[CX4H2:2][Cl,Br]>>[nH0:1][C:2]",
        },
    ),
    *_templates(
        "acylation and related processes",
        {
            "amide coupling": f"[{_AMINE}:1].[{_ACYL}:2](=[O:3])[OX2H1]>>[N:1][C:2]=[O:3]",
            "esterification": f"[{_ALCOHOL}:1].[{_ACYL}:2](=[O:3])[OX2H1]>>[O:1][C:2]=[O:3]",
            "sulfonamide formation": (
                f"[{_AMINE}:1].[SX4:2](=[O:3])(=[O:4])Cl>>[N:1][S:2](=[O:3])=[O:4]"
            ),
            "urea formation": f"[{_AMINE}:1].[N:2]=[C:3]=[O:4]>>[N:1][C:3](=[O:4])[N:2]",
        },
    ),
    *_templates(
        "C-C bond formation",
        {
            "Suzuki coupling": "[c:1][Br,I].[c:2]B([OH])[OH]>>[c:1]-[c:2]",
            "Sonogashira coupling": "[c:1][Br,I].[CX2H1:2]#[C:3]>>[c:1][C:2]#[C:3]",
            "Heck coupling": (
                "[c:1][Br,I].[CH2:2]=[CH1:3][c,$(C=O),$(C#N):4]>>[c:1]/[C:2]=[C:3]/[*:4]"
            ),
            "Claisen-Schmidt condensation": (
                f"[CH3:1][C:2](=[O:3])[c:4].[{_ALDEHYDE}:5](=O)[#6:6]"
                ">>[#6:6]/[C:5]=[C:1]/[C:2](=[O:3])[c:4]"
            ),
        },
    ),
    *_templates(
        "heterocycle formation",
        {
            "azide-alkyne cycloaddition": (
                "[#6:6][N:1]=[N+:2]=[N-:3].[CX2H1:4]#[C:5][#6:7]"
                ">>[#6:6][n:1]1[cH:4][c:5]([#6:7])[n+0:3][n+0:2]1"
            ),
            "benzimidazole from acid": (
                f"[NH2:1][c:2]:[c:3][NH2:4].[{_ACYL}:5](=O)[OX2H1]>>[nH:1]1[c:5][n:4][c:3][c:2]1"
            ),
            "benzimidazole from aldehyde": (
                f"[NH2:1][c:2]:[c:3][NH1;$(N(c)[c,CX4]):4].[{_ALDEHYDE}:5]=O"
                ">>[n:1]1[cH0:5][n:4][c:3][c:2]1"
            ),
            "Hantzsch thiazole synthesis": (
                "[#6:6][C:1](=O)[CH2:2][Br,Cl].[NH2:5][C:3]=[SX1:4]"
                ">>[#6:6][c:1]1[cH:2][s:4][c:3][n:5]1"
            ),
            "1,2,4-oxadiazole synthesis": (
                f"[OH:1][N:2]=[C:3][NH2:4].[{_ACYL}:5](=O)[OX2H1]>>[o:1]1[n:2][c:3][n:4][c:5]1"
            ),
            "1,3,4-oxadiazole synthesis": (
                f"[NH2:1][NH1:2][C:3]=[O:4].[{_ACYL}:5](=O)[OX2H1]>>[n:1]1[n:2][c:3][o:4][c:5]1"
            ),
            "Knorr pyrazole synthesis": (
                "[NH2:1][NH1;$(Nc):2].[C:3](=O)[CH2:4][C:5]=O>>[n:1]1[c:3][cH:4][c:5][n:2]1"
            ),
            "imidazopyridine synthesis": (
                "[NH2:1][c:2]:[nX2;r6:3].[#6:6][C:4](=O)[CH2:5][Br,Cl]"
                ">>[n:1]1[c:2][n:3][cH:5][c:4]1[#6:6]"
            ),
        },
    ),
    *_templates(
        "protections",
        {
            "Boc protection": f"[{_AMINE}:1]>>[N:1]C(=O)OC(C)(C)C",
            "TBS protection": f"[{_ALCOHOL}:1]>>[O:1][Si](C)(C)C(C)(C)C",
            "ketal formation": f"[{_KETONE}:1]=O>>[C:1]1OCCO1",
        },
    ),
    *_templates(
        "deprotections",
        {
            "Boc removal": f"[N:1]C(=O)O[{_TERT_BUTYL}]>>[N:1]",
            "Cbz removal": f"[N:1]C(=O)O[{_BENZYL}]>>[N:1]",
            "ester hydrolysis": f"[{_ACYL}:1](=[O:2])[O:3][{_SMALL_ALKYL}]>>[C:1](=[O:2])[O:3]",
            "tert-butyl ester cleavage": (
                f"[{_ACYL}:1](=[O:2])[O:3][{_TERT_BUTYL}]>>[C:1](=[O:2])[O:3]"
            ),
            "benzyl ether removal": f"[c:1][O:2][{_BENZYL}]>>[c:1][O:2]",
            "methyl ether cleavage": "[c:1][O:2][CH3]>>[c:1][O:2]",
            "TBS removal": f"[C:1][O:2][{_TBS}]>>[C:1][O:2]",
        },
    ),
    *_templates(
        "reductions",
        {
            "nitro reduction": "[c:1][N+:2](=O)[O-]>>[c:1][N+0:2]",
            "ester reduction": f"[{_ACYL}:1](=[O:2])O[{_SMALL_ALKYL}]>>[C:1][O:2]",
            "ketone reduction": f"[{_KETONE}:1]=[O:2]>>[C:1][O:2]",
            "aldehyde reduction": f"[{_ALDEHYDE}:1]=[O:2]>>[C:1][O:2]",
            "nitrile reduction": "[CX2;$(C[#6]):1]#[N:2]>>[C:1][N:2]",
            "alkene hydrogenation": "[CX3;H1,H2:1]=[CX3H1:2]>>[C:1][C:2]",
        },
    ),
    *_templates(
        "oxidations",
        {
            "alcohol to ketone": "[CX4H1;$(C([#6])[#6]):1][OX2H1:2]>>[C:1]=[O:2]",
            "alcohol to aldehyde": "[CX4H2;$(C[#6]):1][OX2H1:2]>>[C:1]=[O:2]",
            "sulfide to sulfoxide": "[SX2;$(S([#6])[#6]):1]>>[S:1]=O",
            "sulfide to sulfone": "[SX2;$(S([#6])[#6]):1]>>[S:1](=O)=O",
        },
    ),
    *_templates(
        "functional group interconversion",
        {
            "hydroxy to chloro": "[CX4;H1,H2:1][OX2H1]>>[C:1]Cl",
            "bromo to cyano": "[c:1]Br>>[c:1]C#N",
            "bromo to boronate": "[c:1]Br>>[c:1]B1OC(C)(C)C(C)(C)O1",
            "nitrile to carboxamide": "[CX2;$(C[#6]):1]#[N:2]>>[C:1](=O)[N:2]",
            "ketone to oxime": f"[{_KETONE}:1]=O>>[C:1]=NO",
        },
    ),
    *_templates(
        "functional group addition",
        {
            "arene bromination": f"[{_PARA_TO_DONOR}:1]>>[cH0:1]Br",
            "arene chlorosulfonylation": f"[{_PARA_TO_DONOR}:1]>>[cH0:1]S(=O)(=O)Cl",
        },
    ),
)

# The templates that join two blocks into a larger reactant. Esterification is left out because
# hydrolysing or reducing the ester just made would only undo the step.
COUPLINGS: tuple[str, ...] = (
    "reductive amination",
    "SNAr amination",
    "Buchwald-Hartwig amination",
    "Williamson ether synthesis",
    "azole alkylation",
    "amide coupling",
    "sulfonamide formation",
    "urea formation",
    "Suzuki coupling",
    "Sonogashira coupling",
    "Heck coupling",
)

# A molecule that carries both groups of a pair would react with itself, so it is dropped.
_NUCLEOPHILE = f"[$([{_AMINE}]),$([{_ALCOHOL}]),$([{_PHENOL}])]"
INCOMPATIBLE: tuple[tuple[str, str], ...] = (
    ("[CX4;!$(C(F)F)][Cl,Br]", f"[{_AMINE}]"),
    (f"[{_ALDEHYDE}]", f"[{_AMINE}]"),
    ("S(=O)(=O)Cl", _NUCLEOPHILE),
    ("N=C=O", _NUCLEOPHILE),
    ("N=[N+]=[N-]", "[CX2H1]#C"),
)
