"""The words the synthetic hospital is made of. Nobody is meant; identity numbers and telephones cannot exist."""

SURNAMES = "王李张刘陈杨黄赵吴周徐孙马朱胡郭何高林罗郑梁谢宋唐许韩冯邓曹彭曾萧田董潘袁蔡蒋余𠮷㛃"
"""The last two lie outside the basic plane and in extension A: systems that cut 4-byte characters show it here."""

_GIVEN = (
    "伟 芳 娜 敏 静 丽 强 磊 洋 艳 勇 军 杰 娟 涛 明 超 秀兰 霞 平 刚 桂英 文 辉 力 玉梅 建国 建华 志强 淑珍 俊杰 海燕 "
    "子涵 雨桐 浩然 欣怡 梓轩 𬱖 𫖯 䶮 喆 堃 淼 翀"
)
GIVEN_NAMES = tuple(_GIVEN.split())

MARKED = {
    3: ("标识甲𠮷", "990101197003030013", "10077700013"),
    5: ("标识乙𬱖", "990101198805050025", "10077700025"),
    8: ("标识丙䶮", "990101199908080038", "10077700038"),
}
"""Patients by id who are planted so that a search can tell whether anything of a patient leaks; see tests/e2e/test_leaks.py."""

STREETS = ("人民路", "解放街", "中山东路", "建设大道", "文化巷", "和平里", "朝阳街", "滨河路")

DEPARTMENTS = (
    ("D01", "门诊部", "outpatient"),
    ("D02", "成人精神科", "inpatient"),
    ("D03", "老年精神科", "inpatient"),
    ("D04", "儿童青少年精神科", "inpatient"),
    ("D05", "心境障碍科", "inpatient"),
    ("D06", "成瘾医学科", "inpatient"),
    ("D07", "药学部", "pharmacy"),
    ("D08", "医学影像科", "imaging"),
    ("D09", "收费处", "finance"),
)

WARDS = 16
BEDS_PER_WARD = 50

STAFF_ROLES = (("医师", 40), ("护士", 80), ("药师", 12), ("技师", 8), ("收费员", 6))
DOCTORS, NURSES, PHARMACISTS = (1, 40), (41, 120), (121, 132)
"""First and last id of each, as STAFF_ROLES numbers them."""

DRUGS = (
    ("奥氮平片", "5mg×28片", "片", "4.26"),
    ("利培酮片", "1mg×20片", "片", "2.15"),
    ("阿立哌唑口崩片", "5mg×20片", "片", "3.98"),
    ("氯氮平片", "25mg×100片", "片", "0.35"),
    ("喹硫平片", "0.1g×30片", "片", "1.87"),
    ("碳酸锂缓释片", "0.3g×60片", "片", "0.62"),
    ("丙戊酸钠缓释片", "0.5g×30片", "片", "2.38"),
    ("舍曲林片", "50mg×28片", "片", "3.05"),
    ("艾司西酞普兰片", "10mg×14片", "片", "4.71"),
    ("米氮平片", "15mg×20片", "片", "3.33"),
    ("劳拉西泮片", "0.5mg×20片", "片", "0.88"),
    ("苯海索片", "2mg×100片", "片", "0.12"),
    ("普萘洛尔片", "10mg×100片", "片", "0.09"),
    ("帕利哌酮缓释片", "3mg×14片", "片", "9.64"),
    ("多奈哌齐片", "5mg×14片", "片", "6.20"),
    ("氟哌啶醇注射液", "5mg/1ml", "支", "7.55"),
)

DIAGNOSES = (
    ("F20.0", "偏执型精神分裂症"),
    ("F20.9", "精神分裂症"),
    ("F31.1", "双相情感障碍,目前为不伴有精神病性症状的躁狂发作"),
    ("F32.2", "重度抑郁发作,不伴有精神病性症状"),
    ("F33.1", "复发性抑郁障碍,目前为中度发作"),
    ("F41.1", "广泛性焦虑障碍"),
    ("F42.9", "强迫障碍"),
    ("F10.2", "酒精依赖综合征"),
    ("F00.1", "阿尔茨海默病性痴呆,晚发性"),
    ("F84.0", "儿童孤独症"),
)

PANEL_PRICES = {"血常规": "25.00", "肝肾功能": "86.00", "血锂浓度": "48.00", "氯氮平浓度": "120.00"}
"""What the laboratory measures together; clinical_words.PANELS has the items."""

OUTCOMES = ("好转", "治愈", "未愈", "转院")
ADMISSION_KINDS = ("自愿", "自愿", "自愿", "非自愿", "医疗看护")
PAYMENT_METHODS = ("医保", "微信", "支付宝", "现金", "银行卡")
REFUND_REASONS = ("停药退费", "检查取消", "重复收费", "多收差额")

EXAMINATIONS = (
    ("MR", "头颅 MR 平扫", "380.00", 2),
    ("CT", "头颅 CT 平扫", "210.00", 1),
    ("CT", "胸部 CT 平扫", "240.00", 2),
)
"""Modality, order text, price, number of series."""

FINDINGS = (
    "双侧大脑半球对称,灰白质分界清楚,未见明显异常信号影。",
    "脑室、脑沟增宽,符合脑萎缩改变,请结合临床。",
    "双侧额叶皮层下见少许点状缺血灶,余未见明显异常。",
    "所示各骨质结构完整,软组织未见肿胀。",
)
CONCLUSIONS = ("未见明显异常", "轻度脑萎缩", "少许缺血灶,建议随访", "请结合临床,必要时增强检查")
