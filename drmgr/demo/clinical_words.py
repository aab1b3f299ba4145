"""What stands in the synthetic records: panels of the laboratory, and texts with the patient's name in them."""

from typing import NamedTuple

from drmgr.demo.feed import Left, Outpatient, Stay


class Panel(NamedTuple):
    """What is measured together; items are code, name, unit, and the limits of the normal range."""

    specimen: str
    instrument: str
    items: tuple[tuple[str, str, str, int, int], ...]


PANELS = {
    "血常规": Panel(
        "全血",
        "XN-1000",
        (
            ("WBC", "白细胞计数", "10^9/L", 4, 10),
            ("RBC", "红细胞计数", "10^12/L", 4, 6),
            ("HGB", "血红蛋白", "g/L", 115, 150),
            ("PLT", "血小板计数", "10^9/L", 125, 350),
            ("NEU", "中性粒细胞", "10^9/L", 2, 6),
            ("LYM", "淋巴细胞", "10^9/L", 1, 3),
        ),
    ),
    "肝肾功能": Panel(
        "血清",
        "AU5800",
        (
            ("ALT", "丙氨酸氨基转移酶", "U/L", 7, 40),
            ("AST", "天门冬氨酸氨基转移酶", "U/L", 13, 35),
            ("TBIL", "总胆红素", "μmol/L", 5, 21),
            ("CREA", "肌酐", "μmol/L", 41, 81),
            ("UREA", "尿素", "mmol/L", 3, 8),
            ("K", "钾", "mmol/L", 3, 5),
            ("NA", "钠", "mmol/L", 137, 147),
        ),
    ),
    "血锂浓度": Panel("血清", "LC-MS", (("LI", "血锂", "mmol/L", 0, 1),)),
    "氯氮平浓度": Panel("血浆", "LC-MS", (("CLZ", "氯氮平", "ng/mL", 350, 600),)),
}

TITLES = {
    "admission": "入院记录",
    "progress": "病程记录",
    "nursing": "护理记录",
    "discharge": "出院小结",
    "restraint": "保护性约束记录",
    "seclusion": "隔离记录",
}

RESTRAINT_REASONS = ("有伤害自身行为", "有伤害他人行为", "有扰乱医疗秩序行为", "兴奋冲动,药物尚未起效")
COMPLAINTS = ("失眠、情绪低落2周", "凭空闻语、疑人害己1月", "心烦、紧张、坐立不安", "复诊取药", "记忆力下降半年")
INFECTIONS_REPORTED = ("B18.1", "A16.2", "A51.0")
INFECTION_SITES = ("上呼吸道", "下呼吸道", "泌尿道", "胃肠道")
PATHOGENS = ("肺炎克雷伯菌", "大肠埃希菌", "金黄色葡萄球菌", "诺如病毒")


def admission(stay: Stay) -> str:
    return (
        f"患者{stay.name},病案号{stay.record_no},因“精神行为异常”于{stay.admitted_at:%Y年%m月%d日%H时}入院,"
        f"入院方式:{stay.kind}。精神检查:意识清晰,定向力完整,接触被动,可引出幻听及被害妄想,自知力缺失。"
        f"初步诊断:{stay.diagnosis}({stay.diagnosis_code})。诊疗计划:完善检查,抗精神病药物治疗,防冲动、防自伤、防外走。"
    )


def progress(stay: Stay, number: int) -> str:
    return (
        f"第{number}次主治医师查房:{stay.name}夜间睡眠约{5 + number % 4}小时,进食可,情绪较前平稳,幻听减少,服药合作,"
        f"未见明显不良反应。继续目前治疗,注意监测血常规及心电图。诊断:{stay.diagnosis}。"
    )


def nursing(stay: Stay) -> str:
    return f"{stay.name}今日在院,病情平稳,T 36.5℃,P 78次/分,生活自理,按时服药,无冲动行为。继续一级护理,每15分钟巡视。"


def summary(left: Left) -> str:
    return (
        f"患者{left.name},于{left.admitted_at:%Y-%m-%d}至{left.discharged_at:%Y-%m-%d}住院治疗。出院诊断:{left.diagnosis}。"
        f"转归:{left.outcome}。出院医嘱:坚持服药,两周后门诊复诊,家属监护。"
    )


def restraint(stay: Stay, kind: str, reason: str) -> str:
    what = "保护性约束" if kind == "restraint" else "隔离"
    return f"{stay.name}因{reason},经告知家属后按医嘱予{what}。每15分钟观察肢体血运、呼吸及情绪,间断松解,记录于护理单。"


def history(visit: Outpatient, complaint: str) -> str:
    return (
        f"{visit.name},{complaint}。既往史无特殊。精神检查:接触可,情感反应适切,未引出明确幻觉妄想,自知力部分存在。"
        f"诊断:{visit.diagnosis}。处理:药物治疗,心理支持,定期复查。"
    )
